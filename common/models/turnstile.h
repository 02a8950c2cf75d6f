/* SPDX-License-Identifier: MIT */
/* turnstile.h - between a last look at a model and its stop, nothing that comes by NGINX goes to the model any more.
 *
 * Shape    the file /run/home-lab-services/turnstile/NAME (HL_TURNSTILE_DIRECTORY in the environment names another
 *          folder). NGINX asks for it before it connects to the model (nginx/home-lab-services/run.conf): while the
 *          file is there, a request waits at model-router, with its body, and goes on when the file is gone.
 *          It is up while a process holds its lock, which the kernel takes from one that dies, or until its lease is
 *          over: the file's modification time. Several may hold it up at once. The last one to let go removes it, or
 *          whoever finds that nobody holds it: so each request that waits looks, and it opens by itself.
 *          A request that NGINX let through a moment before it was raised comes to the model within
 *          HL_TURNSTILE_SETTLE_US: whoever raises it looks at the model after that.
 * Units    *_us are microseconds. A lease is CLOCK_MONOTONIC: no change of the clock moves it.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Owner    *ret_fd: hl_turnstile_lower(). The names are the catalogue's.
 * Process  nothing here waits but hl_turnstile_await(). In an event loop a timer asks hl_turnstile_is_up() every
 *          HL_TURNSTILE_LOOK_US.
 * Tests    tests/unit/models/test_turnstile.c, tests/system/test_turnstile.py
 */
#ifndef HL_MODELS_TURNSTILE_H
#define HL_MODELS_TURNSTILE_H

#include "base/clock.h"

#include <stdbool.h>

struct hl_err;

#define HL_TURNSTILE_FOLDER "/run/home-lab-services/turnstile"
#define HL_TURNSTILE_SETTLE_US (100 * HL_USEC_PER_MSEC)
#define HL_TURNSTILE_LOOK_US (50 * HL_USEC_PER_MSEC)
#define HL_TURNSTILE_LEASE_MAX_US (10 * HL_USEC_PER_MINUTE) /* no longer does a request wait for it */

/* Holds it up until hl_turnstile_lower(), or this process's end. */
int hl_turnstile_raise(const char *model, int *ret_fd, struct hl_err *err);

/* *fd is -1 then; of a negative one nothing is done. */
void hl_turnstile_lower(const char *model, int *fd);

/* Removes one that nobody holds. */
bool hl_turnstile_is_up(const char *model);

/* Waits until it is down. -ETIMEDOUT: the deadline passed, -ECANCELED: the peer of client_fd (-1: none) has left. */
int hl_turnstile_await(const char *model, int client_fd, uint64_t deadline_us);

/* Holds it up for span_us from now, at most HL_TURNSTILE_LEASE_MAX_US, whatever becomes of this process; instead of the
 * lease that it has. 0 ends that. */
int hl_turnstile_lease(const char *model, uint64_t span_us, struct hl_err *err);

/* 0: there is none. */
uint64_t hl_turnstile_lease_left(const char *model);

#endif
