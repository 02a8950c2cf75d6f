/* SPDX-License-Identifier: MIT */
/* drain.h - lets the requests of a model finish, and stops it in the moment in which it has none.
 *
 * Shape    hl_drain() holds the model (last_use.h) over its last look, and leaves it held: who hands on requests, and
 *          announces each by hl_last_use_record(), loses none if the stop is queued before *ret_hold is closed.
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   as in units.h, sockets.h and last_use.h. That requests are left when the deadline passes is no error:
 *          *ret_left says how many.
 * Tests    tests/unit/kernel/test_sockets.c
 */
#ifndef HL_INFERENCE_SERVICE_DRAIN_H
#define HL_INFERENCE_SERVICE_DRAIN_H

#include "config/catalog.h"
#include "systemd/bus.h"

/* *ret_hold: to be closed once the stop is queued, whatever *ret_left is. */
int hl_drain(struct hl_bus *bus, const struct hl_model *model, uint64_t deadline_us, unsigned *ret_left, int *ret_hold,
             struct hl_err *err);

#endif
