/* SPDX-License-Identifier: MIT */
/* trial.h - `nginx -t` on the models' locations, in a configuration that holds nothing else.
 *
 * Errors   -errno/INTERNAL: "nginx_refuses" with NGINX's own words; "internal_error".
 * Process  starts NGINX and waits for it. What it leaves in /tmp is removed.
 * Source   nginx(8)
 * Tests    tests/system/test_updater.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_TRIAL_H
#define HL_NGINX_CONFIG_UPDATER_TRIAL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* Whether this host has an NGINX with our files. */
bool hl_nginx_is_here(void);

int hl_nginx_try(const struct hl_buf *locations, struct hl_err *err);

#endif
