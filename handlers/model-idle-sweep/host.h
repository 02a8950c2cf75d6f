/* SPDX-License-Identifier: MIT */
/* host.h - the last part of a sweep: nobody uses any model, so the host may be switched off.
 *
 * Shape    scheduled once, by logind, with a grace period. As long as it lasts each sweep looks again, and calls it off
 *          when something has changed. Who calls it off himself is not asked again before a model was used.
 * Errors   none: they are logged, and the host stays on.
 * Tests    tests/system/test_host_idle.py
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_H
#define HL_MODEL_IDLE_SWEEP_HOST_H

#include "host_policy.h"

void sweep_host(struct hl_bus *bus, const struct hl_config *config, struct hl_sweep_state *memory);

/* The host is about to be suspended: what is scheduled would switch it off as it wakes up. Called off, and not for
 * good. 0 or -errno. */
int sweep_host_before_sleep(void);

/* What it would do, on stdout. */
void sweep_host_show(struct hl_bus *bus, const struct hl_config *config, const struct hl_sweep_state *memory);

#endif
