/* SPDX-License-Identifier: MIT */
/* check.h - is this host set up as it must be? `home-lab-services check`.
 *
 * Shape    every finding is a line on stdout, "error: FILE:LINE: KEY: what was expected";
 *          what is right is said in one line a part. What does not run, and may be meant to be
 *          so, is a "note:", where a person asks and not the coordinator.
 * Errors   the exit status is that of the gravest finding, in sysexits.h's words, in this
 *          order: EX_CONFIG the configuration or the tokens, EX_NOPERM permissions,
 *          ownership and polkit, EX_TEMPFAIL a port that somebody else uses,
 *          EX_UNAVAILABLE the bus, EX_DATAERR only model files, or NGINX: the lab can do without them.
 *          Before the start, missing folders of state are such, too.
 * Tests    tests/system/test_check.py
 */
#ifndef HL_HOME_LAB_SERVICES_CHECK_CHECK_H
#define HL_HOME_LAB_SERVICES_CHECK_CHECK_H

#include <stdbool.h>

/* Whether our site is where an NGINX looks for sites. */
bool hl_check_has_nginx_site(void);

int hl_check(void);

#endif
