/* SPDX-License-Identifier: MIT */
/* access.h - why a file cannot be opened, in a sentence for people.
 *
 * Shape    asks the kernel as the user that this process has now, folder by folder, and where links lead to.
 * Owner    what is returned is the caller's: free().
 * Tests    tests/unit/config/test_command.c, tests/system/test_mistakes.py
 */
#ifndef HL_CONFIG_ACCESS_H
#define HL_CONFIG_ACCESS_H

enum hl_access { HL_ACCESS_READ, HL_ACCESS_RUN, HL_ACCESS_ENTER };

/* NULL where it can; else "there is no /srv/x" or so, and what to do. The path is a full one. */
char *hl_access_explain(const char *path, enum hl_access access);

/* The name of the user that this process has now, or its number. */
char *hl_access_user(void);

#endif
