/* SPDX-License-Identifier: MIT */
/* ask.h - asks a model's health path until it says that it is ready: without waiting, for any kind of loop.
 *
 * Shape    one question after another, with pauses. One that is not answered is kept for as long as is waited, because
 *          some servers take seconds to say how they are; but beside it another is asked now and then, because an
 *          answer may also never come: of a process that dies, or one that took the question before it was able to
 *          answer.
 * Units    *_us are CLOCK_MONOTONIC.
 * Errors   as in probe.h.
 * Owner    hl_ask_end(), also where it is HL_ASK_INIT and was never begun. port and path are the caller's.
 * Source   probe.h. All numbers of a wait stand here.
 * Tests    tests/unit/models/test_ask.c
 */
#ifndef HL_MODELS_ASK_H
#define HL_MODELS_ASK_H

#include "probe.h"

#include "base/clock.h"

/* Between two questions, for nobody is told when a server has finished loading: a part of what was waited so far. What
 * is asked too late is small beside the load itself, and a long load is not asked about all the time. */
#define HL_ASK_PAUSE_PART 100
#define HL_ASK_FIRST_PAUSE_US (10 * HL_USEC_PER_MSEC)
#define HL_ASK_LAST_PAUSE_US (100 * HL_USEC_PER_MSEC)
/* How long one question is the only one; the second one's time doubles up to the last. */
#define HL_ASK_PATIENCE_US (2 * HL_USEC_PER_SEC)
#define HL_ASK_LAST_PATIENCE_US (30 * HL_USEC_PER_SEC)
#define HL_ASK_WATCH_US (500 * HL_USEC_PER_MSEC) /* how often the unit is looked at, while a question is open */

struct hl_ask_try {
        struct hl_probe probe;
        uint64_t since_us; /* 0: it is not asked */
        uint64_t status_us;
};

struct hl_ask {
        int epoll; /* to be waited for with POLLIN; -1 where it is not there */
        uint16_t port;
        const char *path;
        struct hl_ask_try tries[2]; /* the first is the older one */
        uint64_t begun_us, next_us, patience_us;
};

#define HL_ASK_INIT ((struct hl_ask){ .epoll = -1 })

/* 0, or -errno. */
int hl_ask_begin(struct hl_ask *ask, uint16_t port, const char *path);

/* The answer to a question, a status or -errno, and when that was asked; -EAGAIN: there is none, come again when the
 * descriptor is readable, or at *ret_again_us. */
int hl_ask_step(struct hl_ask *ask, uint64_t *ret_asked_us, uint64_t *ret_again_us);

void hl_ask_end(struct hl_ask *ask);

#endif
