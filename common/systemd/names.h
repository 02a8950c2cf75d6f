/* SPDX-License-Identifier: MIT */
/* names.h - how systemd, logind and polkit are called on the bus.
 *
 * Source   org.freedesktop.systemd1(5), org.freedesktop.login1(5), polkit(8).
 * Tests    tests/unit/systemd/test_units.c, tests/unit/systemd/test_shutdown.c
 */
#ifndef HL_SYSTEMD_NAMES_H
#define HL_SYSTEMD_NAMES_H

#define HL_SYSTEMD "org.freedesktop.systemd1"
#define HL_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define HL_SYSTEMD_MANAGER HL_SYSTEMD ".Manager"
#define HL_SYSTEMD_UNIT HL_SYSTEMD ".Unit"
#define HL_SYSTEMD_SERVICE HL_SYSTEMD ".Service"

#define HL_LOGIND "org.freedesktop.login1"
#define HL_LOGIND_PATH "/org/freedesktop/login1"
#define HL_LOGIND_MANAGER HL_LOGIND ".Manager"

#define HL_POLKIT "org.freedesktop.PolicyKit1"
#define HL_POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define HL_POLKIT_AUTHORITY HL_POLKIT ".Authority"

#define HL_BUS_PROPERTIES "org.freedesktop.DBus.Properties"

#endif
