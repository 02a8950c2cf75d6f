/* SPDX-License-Identifier: MIT */
#include "starter.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config_kept.h"
#include "models/cause.h"
#include "models/load_time.h"
#include "models/readiness.h"
#include "models/refusal.h"
#include "models/stop.h"
#include "models/turnstile.h"
#include "start.h"
#include "systemd/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define ACCURACY_US HL_USEC_PER_MSEC

/* As many as NGINX sends on in that time. Told of all at once, it would read that of all before it sends the first one,
 * and the model would have nothing to do meanwhile. */
#define TOLD_AT_ONCE 16
#define TOLD_EVERY_US HL_USEC_PER_MSEC

static int on_timer(sd_event_source *source, uint64_t now_us, void *data);
static void let_in(struct start *s);
static int on_answer(sd_event_source *source, int fd, uint32_t events, void *data);

static void end_asking(struct start *s)
{
        s->io = sd_event_source_disable_unref(s->io);
        hl_ask_end(&s->ask);
}

static void end_work(struct start *s)
{
        end_asking(s);
        hl_job_free(&s->job);
        s->job = (struct hl_job){ 0 };
}

static void let_go(struct start *s)
{
        end_work(s);
        hl_start_forget_room(s);
}

static void free_start(struct start *s)
{
        let_go(s); /* first: so nobody is next */
        while (!TAILQ_EMPTY(&s->waiters))
                hl_starter_leave(TAILQ_FIRST(&s->waiters));
        sd_event_source_disable_unref(s->timer);
        hl_model_free(&s->model);
        free(s);
}

void hl_start_tell(struct hl_waiter *waiter, const struct hl_err *err, const char *cause)
{
        hl_starter_fn *on_done = waiter->on_done;
        void *data = waiter->data;
        hl_starter_leave(waiter);
        on_done(data, err, cause);
}

/* Calls on_timer() at that time: of the next step, or of the end. */
void hl_start_set_timer(struct start *s, uint64_t at_us)
{
        int r;
        if (!s->timer)
                r = sd_event_add_time(s->starter->event, &s->timer, CLOCK_MONOTONIC, at_us, ACCURACY_US, on_timer, s);
        else if ((r = sd_event_source_set_time(s->timer, at_us)) >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        if (r < 0) /* no memory */
                abort();
}

/* A callback may cancel other waiters, or start the model again. */
static void tell_next(struct start *s)
{
        struct hl_waiter *waiter;
        for (unsigned i = 0; i < TOLD_AT_ONCE && (waiter = TAILQ_FIRST(&s->waiters)); i++)
                hl_start_tell(waiter, &s->err, s->cause);
        if (TAILQ_EMPTY(&s->waiters)) {
                LIST_REMOVE(s, entry);
                free_start(s);
        } else {
                hl_start_set_timer(s, hl_clock_monotonic() + TOLD_EVERY_US);
        }
}

/* The model keeps its room until the last of them was handed on. */
void hl_start_finish(struct start *s)
{
        s->is_over = true;
        end_work(s);
        if (s->err.kind)
                hl_start_forget_room(s);
        tell_next(s);
}

static void fail_soon(struct start *s)
{
        hl_start_set_timer(s, 0);
}

/* Whether the start failed only because somebody has stopped the model for having nothing to do. */
static bool was_drained(const struct start *s)
{
        bool has_ended = s->err.kind == HL_ERR_UPSTREAM || s->err.kind == HL_ERR_CONFLICT;
        return has_ended && s->let_in_us > 0 && hl_stop_was_begun_since(s->model.name, s->let_in_us);
}

/* Once there is something to be told of a failure, or it was waited for long enough. */
static void finish_failure(struct start *s)
{
        bool known = true;
        if (was_drained(s)) {
                hl_start_hold(s);
                return;
        }
        if (s->err.kind == HL_ERR_TIMEOUT &&
            s->ask.epoll >= 0) /* it need not be asked once more, which may take long */
                hl_cause_of_status(&s->model, s->watch.status, s->cause);
        else
                known = hl_cause_of_failure(s->starter->bus, &s->model, s->since_us, &s->err, s->cause);
        if (!known && s->cause_tries++ < HL_CAUSE_TRIES) {
                end_asking(s);
                hl_start_set_timer(s, hl_clock_monotonic() + HL_CAUSE_LAG_US);
                return;
        }
        hl_cause_tell(&s->err, s->cause);
        hl_start_finish(s);
}

/* 1: the wait has come to its end; 0: it goes on. A systemd that does not answer just now ends nothing. */
static int judge(struct start *s, int status, uint64_t asked_us)
{
        struct hl_err err = { 0 };
        int r = hl_readiness_watch_check(&s->watch, status, asked_us, &err);
        bool unknown = r < 0 && err.kind != HL_ERR_UPSTREAM, late = hl_clock_monotonic() >= s->deadline_us;
        if (r == 0 && late)
                r = hl_fail_not_ready(&s->model, s->watch.status, &err);
        if (r == 0 || (unknown && !late))
                return 0;
        s->err = err;
        return 1;
}

static void finish_ready(struct start *s)
{
        if (s->was_begun)
                hl_load_time_record_now(s->model.name, s->model.unit);
        hl_start_finish(s);
}

/* Asks on until something has to be waited for. */
static void step(struct start *s)
{
        uint64_t asked_us = 0, again_us, now_us = hl_clock_monotonic();
        int status = hl_ask_step(&s->ask, &asked_us, &again_us);
        bool is_time = now_us >= s->watch_us || now_us >= s->deadline_us;
        if (status != -EAGAIN || is_time) {
                s->watch_us = now_us + HL_ASK_WATCH_US;
                if (judge(s, status, asked_us)) {
                        if (s->err.kind)
                                finish_failure(s);
                        else if (hl_turnstile_is_up(s->model.name)) /* it is to be stopped before it had a request */
                                hl_start_hold(s);
                        else
                                finish_ready(s);
                        return;
                }
        }
        uint64_t next_us = again_us < s->watch_us ? again_us : s->watch_us;
        hl_start_set_timer(s, next_us < s->deadline_us ? next_us : s->deadline_us);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)fd;
        (void)events;
        step(data);
        return 0;
}

static void begin_asking(struct start *s)
{
        int r = hl_ask_begin(&s->ask, s->model.port, s->model.health_path);
        if (r >= 0)
                r = sd_event_add_io(s->starter->event, &s->io, s->ask.epoll, EPOLLIN, on_answer, s);
        if (r < 0)
                hl_fail(&s->err, HL_ERR_INTERNAL, -r, "internal_error", "epoll: %s", strerror(-r));
        s->watch = (struct hl_readiness_watch){ .bus = s->starter->bus, .model = &s->model, .status = -ETIMEDOUT };
}

/* A failure to be told, a job that takes too long, or the next step. */
static int on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)source;
        (void)now_us;
        struct start *s = data;
        if (s->is_over) {
                tell_next(s);
                return 0;
        }
        if (!s->err.kind && s->held_until_us) {
                let_in(s);
                return 0;
        }
        if (s->is_queued || hl_start_is_refused(s)) {
                hl_start_queue(s);
                return 0;
        }
        if (!s->err.kind && !s->job.result)
                hl_fail(&s->err, HL_ERR_TIMEOUT, ETIMEDOUT, "still_working",
                        "starting %s takes longer than its START_TIMEOUT; it goes on", s->model.name);
        if (!s->err.kind && s->ask.epoll < 0)
                begin_asking(s);
        if (s->err.kind)
                finish_failure(s);
        else
                step(s);
        return 0;
}

/* Where the gate has refused the start, the failure is that. Other jobs' ends come by the starter's bus, which is at
 * work in this moment: it would have to be hung up to ask by it. */
static void tell_refusal(struct start *s)
{
        struct hl_config config;
        struct hl_err ignored = { 0 };
        if (s->err.kind != HL_ERR_UPSTREAM || hl_config_kept_load(&config, &ignored) < 0)
                return;
        hl_refusal_tell(&s->starter->room_bus, &config, &s->model, &s->doubts, &s->err);
        hl_config_free(&config);
}

static void on_job_ended(void *data)
{
        struct start *s = data;
        struct hl_unit_detail detail;
        if (hl_job_result(&s->job, &detail, &s->err) < 0) {
                tell_refusal(s);
                fail_soon(s); /* not now: this is called by the job that hl_start_finish() would free */
                return;
        }
        uint64_t now_us = hl_clock_monotonic(), grace_end_us = now_us + s->starter->grace_us;
        /* Where it is not active now, this is when it once was. */
        if (detail.active == HL_UNIT_ACTIVE && detail.active_since_monotonic_us + s->model.start_timeout_us < now_us &&
            grace_end_us < s->deadline_us)
                s->deadline_us = grace_end_us;
        s->was_begun = detail.active_since_monotonic_us >= s->let_in_us;
        hl_start_set_timer(s, 0);
}

static int begin_job(struct start *s)
{
        struct hl_starter *starter = s->starter;
        int r = hl_bus_open(starter->bus, &s->err);
        if (r == 0 && !sd_bus_get_event(starter->bus->bus)) {
                r = sd_bus_attach_event(starter->bus->bus, starter->event, SD_EVENT_PRIORITY_IMPORTANT);
                /* Without the bus no end of a job is told: the loop ends, and what waits is begun anew. */
                if (r >= 0)
                        r = sd_bus_set_exit_on_disconnect(starter->bus->bus, true);
                if (r < 0)
                        r = hl_bus_fail(&s->err, r, &SD_BUS_ERROR_NULL, "waiting for systemd");
        }
        if (r >= 0)
                r = hl_readiness_check_port(starter->bus, &s->model, &s->err);
        return r < 0 ? r : hl_job_begin(&s->job, &s->err);
}

void hl_start_job(struct start *s)
{
        s->let_in_us = hl_clock_monotonic();
        s->deadline_us = s->let_in_us + s->model.start_timeout_us;
        s->job = (struct hl_job){ .bus = s->starter->bus,
                                  .verb = HL_JOB_START,
                                  .name = s->model.unit,
                                  .ended = on_job_ended,
                                  .data = s,
                                  .answer_us = s->model.start_timeout_us };
        if (begin_job(s) < 0)
                fail_soon(s);
        else
                hl_start_set_timer(s, s->deadline_us);
}

/* Not before the turnstile is down: a model that is being stopped is to be gone, and a paused one stays as it is. */
static void let_in(struct start *s)
{
        uint64_t now_us = hl_clock_monotonic();
        bool is_up = hl_turnstile_is_up(s->model.name);
        if (is_up && now_us < s->held_until_us) {
                hl_start_set_timer(s, now_us + HL_TURNSTILE_LOOK_US);
                return;
        }
        s->held_until_us = 0;
        if (is_up) {
                hl_fail(&s->err, HL_ERR_BUSY, EBUSY, "model_paused",
                        "%s is paused or drained, and that takes longer than a request waits", s->model.name);
                fail_soon(s);
        } else if (hl_claim_is_any(&s->model.claim)) {
                hl_start_ask_for_room(s);
        } else {
                hl_start_job(s);
        }
}

/* Who is held stands in nobody's way. */
void hl_start_hold(struct start *s)
{
        let_go(s);
        s->err = (struct hl_err){ 0 };
        s->held_until_us = hl_clock_monotonic() + HL_TURNSTILE_LEASE_MAX_US;
        let_in(s);
}

static struct start *begin_start(struct hl_starter *starter, const struct hl_model *model)
{
        struct start *s = hl_alloc(sizeof(*s));
        *s = (struct start){
                .starter = starter, .model = hl_model_copy(model), .since_us = hl_clock_realtime(), .ask = HL_ASK_INIT
        };
        TAILQ_INIT(&s->waiters);
        LIST_INSERT_HEAD(&starter->starts, s, entry);
        hl_start_hold(s);
        return s;
}

struct hl_starter *hl_starter_new(sd_event *event, struct hl_bus *bus, uint64_t grace_us)
{
        struct hl_starter *starter = hl_alloc(sizeof(*starter));
        *starter = (struct hl_starter){ .event = event, .bus = bus, .room_bus = HL_BUS_INIT, .grace_us = grace_us };
        return starter;
}

void hl_starter_free(struct hl_starter *starter)
{
        while (!LIST_EMPTY(&starter->starts)) {
                struct start *s = LIST_FIRST(&starter->starts);
                LIST_REMOVE(s, entry);
                free_start(s);
        }
        hl_bus_free(&starter->room_bus);
        free(starter);
}

/* The newest: one that was stopped may be there still, and look for its cause. */
static struct start *find_start(const struct hl_starter *starter, const struct hl_model *model)
{
        struct start *s;
        LIST_FOREACH (s, &starter->starts, entry)
                if (!s->is_over && strcmp(s->model.name, model->name) == 0 && s->model.port == model->port)
                        return s;
        return NULL;
}

/* Whether somebody has stopped its model since: who comes now is not told so, but starts it again. A crash is told. */
static bool was_stopped(const struct start *s)
{
        enum hl_unit_state active;
        struct hl_err ignored = { 0 };
        return s->job.result && strcmp(s->job.result, "done") == 0 && hl_unit_start_hint(s->model.unit) == 0 &&
               hl_unit_state_of(s->starter->bus, s->model.unit, &active, &ignored) == 0 && active == HL_UNIT_INACTIVE;
}

bool hl_starter_is_starting(const struct hl_starter *starter, const struct hl_model *model)
{
        const struct start *s = find_start(starter, model);
        return s && !s->err.kind && s->ask.epoll < 0;
}

struct hl_waiter *hl_starter_wait(struct hl_starter *starter, const struct hl_model *model, uint64_t since_us,
                                  hl_starter_fn *on_done, void *data)
{
        struct start *s = find_start(starter, model);
        if (!s || was_stopped(s))
                s = begin_start(starter, model);
        struct hl_waiter *waiter = hl_alloc(sizeof(*waiter));
        *waiter = (struct hl_waiter){ .start = s, .since_us = since_us, .on_done = on_done, .data = data };
        TAILQ_INSERT_TAIL(&s->waiters, waiter, entry);
        if (s->room)
                hl_room_came(s->room, since_us);
        return waiter;
}

void hl_starter_leave(struct hl_waiter *waiter)
{
        struct start *s = waiter->start;
        TAILQ_REMOVE(&s->waiters, waiter, entry);
        free(waiter);
        if (s->is_queued && TAILQ_EMPTY(&s->waiters)) /* its place is the next one's */
                hl_start_set_timer(s, 0);
}
