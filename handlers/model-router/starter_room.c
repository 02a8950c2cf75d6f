/* SPDX-License-Identifier: MIT */
#include "start.h"

#include "base/clock.h"
#include "models/evicted.h"
#include "models/turnstile.h"

#include <string.h>
#include <sys/epoll.h>

static void on_evicts(void *data, const char *model, const char *why)
{
        (void)data;
        hl_evicted_log(model, why, NULL);
}

static int on_gone(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)fd;
        (void)events;
        hl_start_queue(data);
        return 0;
}

static void watch_room(struct start *s, bool on)
{
        if (on && !s->gone && hl_room_fd(s->room) >= 0)
                sd_event_add_io(s->starter->event, &s->gone, hl_room_fd(s->room), EPOLLIN, on_gone, s);
        else if (!on)
                s->gone = sd_event_source_disable_unref(s->gone);
}

void hl_start_forget_room(struct start *s)
{
        watch_room(s, false);
        s->room = hl_room_free(s->room);
        s->is_queued = false;
}

void hl_start_ask_for_room(struct start *s)
{
        const struct hl_waiter *waiter;
        s->room = hl_room_new(&s->starter->room_bus, &s->model, on_evicts, NULL);
        TAILQ_FOREACH (waiter, &s->waiters, entry)
                hl_room_came(s->room, waiter->since_us);
        s->is_queued = true;
        hl_start_set_timer(s, 0);
}

bool hl_start_is_refused(struct start *s)
{
        if (!s->room || s->err.kind != HL_ERR_BUSY || strcmp(s->err.code, "no_capacity") != 0)
                return false;
        s->err = (struct hl_err){ 0 };
        hl_job_free(&s->job);
        hl_room_refused(s->room);
        s->is_queued = true;
        return true;
}

/* Who has waited for too long is told what for. When the next one has; HL_USEC_INFINITY: nobody waits. */
static uint64_t tell_late(struct start *s)
{
        uint64_t next_us = HL_USEC_INFINITY, queue_us = hl_room_queue_us(s->room);
        struct hl_waiter *waiter = TAILQ_FIRST(&s->waiters);
        while (waiter) {
                uint64_t at_us = waiter->since_us + queue_us;
                if (hl_clock_monotonic() >= at_us) {
                        struct hl_err err = { 0 };
                        hl_room_fail(s->room, &err);
                        hl_start_tell(waiter, &err, "");
                        next_us = HL_USEC_INFINITY;
                        waiter = TAILQ_FIRST(&s->waiters); /* what is told may let others leave */
                        continue;
                }
                next_us = at_us < next_us ? at_us : next_us;
                waiter = TAILQ_NEXT(waiter, entry);
        }
        return next_us;
}

/* Nobody is made to leave for nobody. */
void hl_start_queue(struct start *s)
{
        uint64_t again_us = 0;
        if (hl_turnstile_is_up(s->model.name)) {
                hl_start_hold(s);
                return;
        }
        int r = hl_room_step(s->room, &again_us, &s->err);
        if (r < 0) {
                hl_start_finish(s);
                return;
        }
        watch_room(s, r == 0);
        if (r > 0) {
                s->is_queued = false;
                s->since_us = hl_clock_realtime();
                hl_start_job(s);
                return;
        }
        uint64_t late_us = hl_room_is_evicting(s->room) ? HL_USEC_INFINITY : tell_late(s);
        if (TAILQ_EMPTY(&s->waiters))
                hl_start_finish(s);
        else
                hl_start_set_timer(s, again_us < late_us ? again_us : late_us);
}
