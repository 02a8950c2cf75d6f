/* SPDX-License-Identifier: MIT */
/* force.h - brings locations and upstreams in force: tried, put in place, and taken up by NGINX.
 *
 * Shape    NGINX keeps what it has until it is sure of the new: the locations are tried alone, put in place, and taken
 *          back should NGINX, with all that it has besides, refuse to reload. NGINX may read the one file and the other
 *          at any time, so at no time the locations name an upstream that is not there.
 * Errors   as trial.h; "nginx_starting", "reload_failed" and what jobs.h has; -errno/INTERNAL: a file.
 * Process  runs NGINX, asks systemd, and says in the journal what is in force.
 * Tests    tests/doors/test_updater_file.py, tests/system/test_updater.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_FORCE_H
#define HL_NGINX_CONFIG_UPDATER_FORCE_H

#include "texts.h"

/* 1: something was new, and took its time; 0: nothing was. */
int hl_nginx_force(const struct hl_config *config, const struct hl_nginx_texts *texts,
                   const struct hl_nginx_texts *in_force, struct hl_err *err);

#endif
