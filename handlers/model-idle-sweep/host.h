/* SPDX-License-Identifier: MIT */
/* host.h - the last part of a sweep: nobody uses any model, so the host may be switched off.
 *
 * Shape    scheduled once, by logind, with a grace period. As long as it lasts each sweep looks again, and calls it off
 *          when something has changed. Who calls it off himself is not asked again before a model was used.
 *          Which shutdown is a sweep's, logind says: by its user, and by how its message begins. What one sweep tells
 *          the next (state.h) may be lost.
 * Errors   none: they are logged, and the host stays on.
 * Tests    tests/system/test_host_idle.py
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_H
#define HL_MODEL_IDLE_SWEEP_HOST_H

#include "host_policy.h"

void sweep_host(struct hl_bus *bus, const struct hl_config *config, struct hl_sweep_state *memory);

/* Calls off a shutdown that a sweep has scheduled, and not for good. reason: HL_HOST_GOES_TO_SLEEP, as the shutdown
 * would come when the host wakes up; HL_HOST_UNKNOWN, as a sweep cannot see what is used. 0, also where there is none,
 * or -errno. */
int sweep_host_call_off(enum hl_host_reason reason);

/* What it would do, on stdout. */
void sweep_host_show(struct hl_bus *bus, const struct hl_config *config, const struct hl_sweep_state *memory);

#endif
