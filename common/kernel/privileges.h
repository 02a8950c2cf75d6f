/* SPDX-License-Identifier: MIT */
/* privileges.h - how a program leaves what it has where systemd starts it as root, from a model's unit.
 *
 * Shape    "+" in front of a command: it is root's, and without the unit's sandbox but for TemporaryFileSystem=, with
 *          which a model sees no other model's file.
 * Errors   0 or -errno; the program may be half of either then, and should end.
 * Process  all of it.
 * Source   systemd.service(5), "COMMAND LINES"; setns(2), setresuid(2).
 * Tests    tests/system/test_capacity.py
 */
#ifndef HL_KERNEL_PRIVILEGES_H
#define HL_KERNEL_PRIVILEGES_H

#include <stdbool.h>

/* Whether there is anything to leave: tests run these programs as anybody. */
bool hl_privileges_are_roots(void);

/* Sees the files as PID 1 does. */
int hl_privileges_see_host(void);

/* The user, in its group of the same or of another name, with no other groups; and no program that it runs could do
 * more. */
int hl_privileges_become(const char *user, const char *group);

#endif
