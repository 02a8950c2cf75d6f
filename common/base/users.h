/* SPDX-License-Identifier: MIT */
/* users.h - which system user has a number?
 *
 * Shape    read from a file as /etc/passwd is, and not by getpwuid(): that may ask a server of the network, and system
 *          users are in this file. Two names may have one number.
 * Errors   -errno where the file cannot be read.
 * Tests    tests/unit/base/test_users.c
 */
#ifndef HL_BASE_USERS_H
#define HL_BASE_USERS_H

#include <stddef.h>
#include <stdint.h>

#define HL_USERS_FILE "/etc/passwd"
#define HL_USERS_SIZE_MAX (UINT64_C(64) * 1024 * 1024) /* bytes */

/* The index of the name that has this number; -ESRCH where none of them has. */
int hl_users_find(const char *file, uint32_t uid, const char *const *names, size_t count);

#endif
