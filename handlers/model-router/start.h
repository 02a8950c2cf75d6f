/* SPDX-License-Identifier: MIT */
/* start.h - one model on its way up: what starter.c and starter_room.c share, and nobody else sees.
 *
 * Shape    a start is held by its model's turnstile first. Then it waits for room, where the model competes for any.
 *          Then it is systemd's job, and at last the model is asked whether it is ready.
 * Process  everything here is called from the event loop.
 * Tests    tests/unit/model-router/test_starter.c
 */
#ifndef HL_MODEL_ROUTER_START_H
#define HL_MODEL_ROUTER_START_H

#include "models/ask.h"
#include "models/cause.h"
#include "models/readiness.h"
#include "models/room.h"
#include "starter.h"
#include "systemd/jobs.h"

#include <sys/queue.h>

struct hl_waiter {
        TAILQ_ENTRY(hl_waiter) entry;
        struct start *start;
        uint64_t since_us;
        hl_starter_fn *on_done;
        void *data;
};

/* One model on its way up. */
struct start {
        struct hl_starter *starter;
        LIST_ENTRY(start) entry;
        TAILQ_HEAD(waiter_list, hl_waiter) waiters; /* who came first stands first */
        struct hl_model model;
        struct hl_room *room;           /* NULL: the model competes for nothing */
        bool is_queued;                 /* it waits for room, and there is no job yet */
        unsigned doubts;                /* refusal.h */
        uint64_t deadline_us, watch_us; /* when its unit is looked at next */
        uint64_t held_until_us;         /* by the model's turnstile; 0: it was let in */
        uint64_t let_in_us;
        struct hl_job job;
        struct hl_ask ask;
        struct hl_readiness_watch watch;
        sd_event_source *io, *timer, *gone; /* the last one is hl_room_fd()'s, while it is queued */
        struct hl_err err;
        uint64_t since_us; /* of the start, CLOCK_REALTIME */
        bool was_begun;    /* its unit became active for it, and not before */
        bool is_over;      /* those who waited are being told, and nobody joins them */
        int cause_tries;
        char cause[HL_CAUSE_SIZE];
};

struct hl_starter {
        sd_event *event;
        struct hl_bus *bus;
        struct hl_bus room_bus; /* its calls wait: not in the event loop, and a stop that is not taken hangs up */
        uint64_t grace_us;
        LIST_HEAD(start_list, start) starts;
};

/* The next step is made at that time. */
void hl_start_set_timer(struct start *s, uint64_t at_us);

/* The waiter is gone then. */
void hl_start_tell(struct hl_waiter *waiter, const struct hl_err *err, const char *cause);

/* It comes to nothing more: all of them are told, some now and the others soon, and it is freed. */
void hl_start_finish(struct start *s);

void hl_start_job(struct start *s);
void hl_start_hold(struct start *s);

/* From now on it is queued. */
void hl_start_ask_for_room(struct start *s);

/* One step on the way to room. */
void hl_start_queue(struct start *s);

/* It is not queued then. */
void hl_start_forget_room(struct start *s);

/* Whether the gate has refused its start, so that it is queued once more. */
bool hl_start_is_refused(struct start *s);

#endif
