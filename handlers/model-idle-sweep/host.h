/* SPDX-License-Identifier: MIT */
/* host.h - nobody uses any model, so the host may be switched off: what model-idle-sweep-host.service does.
 *
 * Shape    scheduled once, by logind, with a grace period. As long as it lasts each sweep looks again, and it is called
 *          off when something has changed. Who calls it off himself is not asked again before a model was used.
 *          Which shutdown is a sweep's, logind says: by its user, and by how its message begins. What is remembered
 *          (host_memory.h) may be lost.
 * Errors   none: they are logged, and the host stays on.
 * Tests    tests/system/test_host_idle.py
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_H
#define HL_MODEL_IDLE_SWEEP_HOST_H

#include "host_policy.h"

/* What the host's user does with what a sweep has seen; NULL: it cannot see what is used. For when this host's shutdown
 * is scheduled by a sweep; 0: it is not. */
uint64_t sweep_host_act(const struct hl_host_seen *seen);

/* Calls off a shutdown that a sweep has scheduled, and not for good. reason: HL_HOST_GOES_TO_SLEEP, as the shutdown
 * would come when the host wakes up; HL_HOST_UNKNOWN, as a sweep cannot see what is used. 0, also where there is none,
 * or -errno. */
int sweep_host_call_off(enum hl_host_reason reason);

/* Whether the host's user has anything to do. */
bool sweep_host_concerns(const struct hl_config *config, const struct hl_host_seen *seen);

/* What it would do, on stdout. */
void sweep_host_show(struct hl_bus *bus, const struct hl_config *config, const struct hl_host_seen *seen);

#endif
