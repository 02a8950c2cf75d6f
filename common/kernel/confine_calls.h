/* SPDX-License-Identifier: MIT */
/* confine_calls.h - what Landlock does not know of, and a file system that is for reading only would refuse.
 *
 * Shape    a filter of system calls that change a file's mode or attributes, or its length by its name. It denies a few
 *          and allows the rest, so that no C library misses anything. Not of times: these are how a use is told.
 * Errors   what is denied fails with EPERM.
 * Source   seccomp(2). The unit lets no other architecture in (SystemCallArchitectures=native).
 * Tests    tests/unit/kernel/test_confine.c
 */
#ifndef HL_KERNEL_CONFINE_CALLS_H
#define HL_KERNEL_CONFINE_CALLS_H

/* 0 or -errno. For this thread and those that it makes; needs NoNewPrivileges=. */
int hl_confine_calls(void);

#endif
