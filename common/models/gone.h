/* SPDX-License-Identifier: MIT */
/* gone.h - that there may be room: a unit has ended, whoever ended it, or somebody waits no more.
 *
 * Shape    systemd's marks of what runs, and the tickets of who waits (queue.h), are files that go with it. The kernel
 *          tells of that, so that nobody has to ask again and again. Who dies leaves his ticket: that is not told.
 * Errors   none: what is not told is seen by the next look.
 * Owner    a watch is a file descriptor: close it.
 * Source   inotify(7).
 * Tests    tests/unit/models/test_room.c, tests/system/test_evictions.py
 */
#ifndef HL_MODELS_GONE_H
#define HL_MODELS_GONE_H

#include <stdbool.h>

/* Can be read when something has gone. -1: the kernel watches no more for this user. */
int hl_gone_watch(void);

/* Reads what was told since the last time, without waiting: whether a ticket has gone, or a unit of the same template
 * as this one. False of a negative fd. */
bool hl_gone_heard(int fd, const char *unit);

#endif
