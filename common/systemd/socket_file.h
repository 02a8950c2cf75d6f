/* SPDX-License-Identifier: MIT */
/* socket_file.h - the file of a socket unit that listens on a path.
 *
 * Shape    such a socket is open for systemd also where its file is gone; but nobody finds it.
 * Errors   as in units.h.
 * Tests    tests/unit/systemd/test_socket_file.c, tests/system/test_faults.py
 */
#ifndef HL_SYSTEMD_SOCKET_FILE_H
#define HL_SYSTEMD_SOCKET_FILE_H

#include "bus.h"

/* Of a socket unit that is active. 0, also where it listens on no path or is not active; or -ENOENT/BUSY, which says
 * what to do; or why it cannot be told. */
int hl_socket_file_check(struct hl_bus *bus, const char *unit, struct hl_err *err);

#endif
