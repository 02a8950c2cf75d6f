/* SPDX-License-Identifier: MIT */
/* propose.h - the half of the updater's user: what the models are is proposed to root. Root's half, which is
 * nginx-models.service, looks at the proposal and brings it in force.
 *
 * Errors   -errno/UPSTREAM with what root's half says against it; BUSY and INTERNAL as in bus.h; as proposal.h.
 * Process  asks systemd, and waits.
 * Tests    tests/system/test_gate.py, tests/system/test_updater.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_PROPOSE_H
#define HL_NGINX_CONFIG_UPDATER_PROPOSE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

#define HL_NGINX_MODELS_UNIT "nginx-models.service"

/* Whether the file says this. One that was refused is followed by the next one, whatever is in force. */
bool hl_is_proposed(const char *path, const struct hl_buf *proposal);

/* Writes the file, and has root's half run. */
int hl_propose(const char *path, const struct hl_buf *proposal, struct hl_err *err);

#endif
