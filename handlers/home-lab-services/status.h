/* SPDX-License-Identifier: MIT */
/* status.h - one screen about the lab: `home-lab-services status`.
 *
 * Errors   what cannot be asked is said in its place; the exit status is EX_OK, or
 *          EX_UNAVAILABLE where systemd could not be asked at all, EX_CONFIG where the
 *          configuration cannot be read.
 * Tests    tests/system/test_check.py
 */
#ifndef HL_HOME_LAB_SERVICES_STATUS_H
#define HL_HOME_LAB_SERVICES_STATUS_H

int hl_status(void);

#endif
