/* drain.h - lets the requests of a model finish before it is stopped.
 *
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   as in inflight.h. That requests are left when the deadline passes is no error:
 *          *ret_left says how many.
 * Tests    tests/unit/test_inflight.c
 */
#ifndef HL_LAB_DRAIN_H
#define HL_LAB_DRAIN_H

#include "catalog.h"

int hl_drain(const struct hl_model *model, uint64_t deadline_us, unsigned *ret_left, struct hl_err *err);

#endif
