#include "wake.h"

#include "base/clock.h"
#include "base/mem.h"
#include "jobs.h"
#include "probe.h"
#include "ready.h"
#include "ready_mark.h"
#include "units.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define PAUSE_US (50 * HL_USEC_PER_MSEC) /* between two tries: nobody is told when a server has finished loading */
#define TRY_US (2 * HL_USEC_PER_SEC)     /* for one answer */
#define ACCURACY_US HL_USEC_PER_MSEC

struct hl_wait {
        struct hl_wait *next, **link;
        hl_wake_fn *told;
        void *data;
};

/* One model on its way up. */
struct start {
        struct hl_wake *wake;
        struct start *next, **link;
        struct hl_wait *waits;
        struct hl_model model;
        uint64_t deadline_us;
        struct hl_job job;
        struct hl_probe probe;
        sd_event_source *io, *timer; /* of a try; or the pause before the next one */
        uint64_t asked_us;           /* when the last try began */
        int status;                  /* what it was answered */
        struct hl_err err;
};

struct hl_wake {
        sd_event *event;
        struct hl_bus *bus;
        uint64_t grace_us;
        struct start *starts;
};

static int on_timer(sd_event_source *source, uint64_t now_us, void *data);
static int on_probe(sd_event_source *source, int fd, uint32_t events, void *data);

static void end_try(struct start *s)
{
        s->io = sd_event_source_disable_unref(s->io);
        hl_probe_end(&s->probe);
}

static void free_start(struct start *s)
{
        for (struct hl_wait *wait = s->waits, *next; wait; wait = next) {
                next = wait->next;
                free(wait);
        }
        if (s->next)
                s->next->link = s->link;
        *s->link = s->next;
        end_try(s);
        sd_event_source_disable_unref(s->timer);
        hl_job_free(&s->job);
        free(s->model.file_path);
        free(s->model.unit);
        free(s->model.health_path);
        free(s);
}

/* Tells everybody. Who is told may leave others and begin new waits, which then find no start of this model. */
static void finish(struct start *s)
{
        struct hl_err err = s->err;
        struct hl_wait *waits = hl_steal(s->waits);
        if (waits)
                waits->link = &waits;
        free_start(s);
        while (waits) {
                hl_wake_fn *told = waits->told;
                void *data = waits->data;
                hl_wake_leave(waits);
                told(data, &err);
        }
}

/* Calls on_timer() at that time; the one timer is the pause's, the try's or the end's. */
static void set_timer(struct start *s, uint64_t at_us)
{
        int r;
        if (!s->timer)
                r = sd_event_add_time(s->wake->event, &s->timer, CLOCK_MONOTONIC, at_us, ACCURACY_US, on_timer, s);
        else if ((r = sd_event_source_set_time(s->timer, at_us)) >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        if (r < 0) /* no memory */
                abort();
}

static void fail_soon(struct start *s)
{
        set_timer(s, 0);
}

static void pause_try(struct start *s, int status)
{
        end_try(s);
        s->status = status;
        set_timer(s, hl_clock_monotonic() + PAUSE_US);
}

/* The health path was answered, or was not. */
static void judge_try(struct start *s, int status)
{
        const char *unit = s->model.unit;
        enum hl_unit_active active;
        struct hl_err bus_err = { 0 }; /* a systemd that does not answer just now ends nothing */
        bool known = hl_units_states(s->wake->bus, &unit, 1, &active, &bus_err) == 0;
        if (known && (active == HL_UNIT_FAILED || active == HL_UNIT_INACTIVE))
                hl_units_ended(s->wake->bus, unit, &s->err);
        bool ready = known && active == HL_UNIT_ACTIVE && hl_ready_status(status);
        if (!s->err.kind && !ready && hl_clock_monotonic() + PAUSE_US >= s->deadline_us) {
                if (known)
                        hl_ready_timeout(&s->model, status, &s->err);
                else
                        s->err = bus_err;
        }
        if (ready)
                hl_ready_mark(s->model.name, s->asked_us);
        if (s->err.kind || ready)
                finish(s);
        else
                pause_try(s, status);
}

static void step_try(struct start *s)
{
        short events = 0;
        int status = hl_probe_step(&s->probe, &events);
        if (status != -EAGAIN) {
                judge_try(s, status);
                return;
        }
        uint32_t wanted = events == POLLIN ? EPOLLIN : EPOLLOUT;
        int r = s->io ? sd_event_source_set_io_events(s->io, wanted)
                      : sd_event_add_io(s->wake->event, &s->io, s->probe.fd, wanted, on_probe, s);
        if (r < 0)
                judge_try(s, r);
}

static int on_probe(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)fd;
        (void)events;
        step_try(data);
        return 0;
}

static void begin_try(struct start *s)
{
        s->asked_us = hl_clock_monotonic();
        uint64_t limit_us = s->asked_us + TRY_US;
        set_timer(s, limit_us < s->deadline_us ? limit_us : s->deadline_us);
        int r = hl_probe_begin(&s->probe, s->model.port, s->model.health_path);
        if (r < 0)
                judge_try(s, r);
        else
                step_try(s);
}

/* A failure to be told, a job that takes too long, a try that does, or the end of a pause. */
static int on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)source;
        (void)now_us;
        struct start *s = data;
        if (!s->err.kind && !s->job.result)
                hl_fail(&s->err, HL_ERR_TIMEOUT, ETIMEDOUT, "still_working",
                        "starting %s takes longer than its START_TIMEOUT; it goes on", s->model.name);
        if (s->err.kind)
                finish(s);
        else if (s->probe.fd >= 0)
                judge_try(s, -ETIMEDOUT);
        else
                begin_try(s);
        return 0;
}

static void on_job_ended(void *data)
{
        struct start *s = data;
        struct hl_unit_detail detail;
        if (hl_job_judge(&s->job, &s->err) < 0 || hl_units_detail(s->wake->bus, s->model.unit, &detail, &s->err) < 0) {
                fail_soon(s); /* not now: this is called by the job that finish() would free */
                return;
        }
        uint64_t now_us = hl_clock_monotonic(), grace_end_us = now_us + s->wake->grace_us;
        /* Where it is not active now, this is when it once was. */
        if (detail.active == HL_UNIT_ACTIVE && detail.active_since_monotonic_us + s->model.start_timeout_us < now_us &&
            grace_end_us < s->deadline_us)
                s->deadline_us = grace_end_us;
        set_timer(s, 0);
}

static int begin_job(struct start *s)
{
        struct hl_wake *wake = s->wake;
        int r = hl_bus_open(wake->bus, &s->err);
        if (r == 0 && !sd_bus_get_event(wake->bus->bus)) {
                r = sd_bus_attach_event(wake->bus->bus, wake->event, SD_EVENT_PRIORITY_NORMAL);
                if (r >= 0) /* without the bus no end of a job is told: the loop ends, and what waits is begun anew */
                        r = sd_bus_set_exit_on_disconnect(wake->bus->bus, true);
                if (r < 0)
                        r = hl_bus_fail(&s->err, r, &SD_BUS_ERROR_NULL, "waiting for systemd");
        }
        if (r >= 0)
                r = hl_ready_check_port(wake->bus, &s->model, &s->err);
        return r < 0 ? r : hl_job_begin(&s->job, &s->err);
}

static struct start *begin_start(struct hl_wake *wake, const struct hl_model *model)
{
        struct start *s = hl_alloc(sizeof(*s));
        *s = (struct start){ .wake = wake,
                             .next = wake->starts,
                             .link = &wake->starts,
                             .model = *model,
                             .deadline_us = hl_clock_monotonic() + model->start_timeout_us,
                             .probe.fd = -1 };
        if (s->next)
                s->next->link = &s->next;
        wake->starts = s;
        s->model.file_path = hl_strdup(model->file_path);
        s->model.unit = hl_strdup(model->unit);
        s->model.health_path = hl_strdup(model->health_path);
        s->job = (struct hl_job){ .bus = wake->bus,
                                  .verb = HL_UNIT_START,
                                  .name = s->model.unit,
                                  .ended = on_job_ended,
                                  .data = s,
                                  .answer_us = s->model.start_timeout_us };
        if (begin_job(s) < 0)
                fail_soon(s);
        else
                set_timer(s, s->deadline_us);
        return s;
}

struct hl_wake *hl_wake_new(sd_event *event, struct hl_bus *bus, uint64_t grace_us)
{
        struct hl_wake *wake = hl_alloc(sizeof(*wake));
        *wake = (struct hl_wake){ .event = event, .bus = bus, .grace_us = grace_us };
        return wake;
}

void hl_wake_free(struct hl_wake *wake)
{
        while (wake->starts)
                free_start(wake->starts);
        free(wake);
}

struct hl_wait *hl_wake_wait(struct hl_wake *wake, const struct hl_model *model, hl_wake_fn *told, void *data)
{
        struct start *s = wake->starts;
        while (s && (strcmp(s->model.name, model->name) != 0 || s->model.port != model->port))
                s = s->next;
        if (!s)
                s = begin_start(wake, model);
        struct hl_wait *wait = hl_alloc(sizeof(*wait));
        *wait = (struct hl_wait){ .next = s->waits, .link = &s->waits, .told = told, .data = data };
        if (wait->next)
                wait->next->link = &wait->next;
        s->waits = wait;
        return wait;
}

void hl_wake_leave(struct hl_wait *wait)
{
        if (wait->next)
                wait->next->link = wait->link;
        *wait->link = wait->next;
        free(wait);
}
