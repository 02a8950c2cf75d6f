/* SPDX-License-Identifier: MIT */
/* confine.h - a process writes only where its unit says, reads nothing in /tmp, runs no program and no memory that it
 * has written, and takes no port that it has chosen.
 *
 * Shape    a process of one connection, or of one sweep, lives for milliseconds, and a mount namespace takes longer to
 *          make. Landlock does the same in the process itself, before it reads a byte of anybody's. What Landlock does
 *          not know, modes, attributes, memory and (before Linux 6.2) truncation, a filter of system calls refuses:
 *          the one filter here costs less than those that systemd would make for the same.
 *          The unit asks for it by HL_CONFINED_TO, which lists where it may write. A unit that has a mount namespace of
 *          its own does not: so that of a worker, and each where the kernel has no Landlock, which units/generator sees
 *          to.
 * Errors   where it cannot be done, nothing may be done: the program ends with EX_UNAVAILABLE.
 * Process  of one thread still. There is no way back.
 * Source   landlock(7), seccomp(2).
 * Tests    tests/unit/kernel/test_confine.c, tests/system/test_rights.py
 */
#ifndef HL_KERNEL_CONFINE_H
#define HL_KERNEL_CONFINE_H

/* What the environment says of it. 0, also where it says nothing, or -errno: -ENOSYS and -EOPNOTSUPP where the kernel
 * has no Landlock. */
int hl_confine(void);

#endif
