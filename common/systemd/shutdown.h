/* SPDX-License-Identifier: MIT */
/* shutdown.h - scheduled shutdowns: logind's, and nobody else's memory of them.
 *
 * Shape    hl_shutdown is what logind holds at one instant. There is at most one.
 * Units    at_us, created_us are CLOCK_REALTIME microseconds.
 * Errors   hl_shutdown_schedule(): -EEXIST/CONFLICT: somebody else's is there; -EINVAL/INVALID:
 *          not in the future; -EACCES/FORBIDDEN: logind or polkit refuses (an inhibitor, a
 *          session of another user). hl_shutdown_cancel(): -ENOENT/NOT_FOUND: there is none.
 *          All: BUSY and INTERNAL as in bus.h.
 * Source   org.freedesktop.login1(5): ScheduleShutdown, CancelScheduledShutdown,
 *          ScheduledShutdown, SetWallMessage. Whose it is, is told by
 *          /run/systemd/shutdown/scheduled alone (UID=): D-Bus does not say.
 * Tests    tests/unit/systemd/test_shutdown.c, tests/system/test_shutdown.py
 */
#ifndef HL_SYSTEMD_SHUTDOWN_H
#define HL_SYSTEMD_SHUTDOWN_H

#include "bus.h"

#include <stdbool.h>
#include <stdint.h>

#define HL_SHUTDOWN_FOLDER "/run/systemd/shutdown" /* what is in it changes with each schedule */
#define HL_SHUTDOWN_ACTION_SIZE 32
#define HL_SHUTDOWN_MESSAGE_MAX 200                  /* bytes of a wall message */
#define HL_SHUTDOWN_LEAST_US (UINT64_C(1) * 1000000) /* from now: logind takes the past for "at once" */

struct hl_shutdown {
        bool scheduled;
        uint64_t at_us;
        uint64_t created_us;                       /* 0: not known */
        char action[HL_SHUTDOWN_ACTION_SIZE];      /* "poweroff", "reboot", "halt", or another of logind's */
        char message[HL_SHUTDOWN_MESSAGE_MAX + 1]; /* to the users who are logged in; "" where there is none */
        bool ours;                                 /* scheduled by a program of the product's */
};

/* Whether logind has written down a schedule: a look at a file, and no call. */
bool hl_shutdown_is_noted(void);

int hl_shutdown_get(struct hl_bus *bus, struct hl_shutdown *ret_shutdown, struct hl_err *err);

/* ret_replaced: the schedule before (.scheduled false: there was none). Somebody else's is
 * replaced only if replace_others. message NULL: the default one. */
int hl_shutdown_schedule(struct hl_bus *bus, const char *action, uint64_t at_us, const char *message,
                         bool replace_others, struct hl_shutdown *ret_replaced, struct hl_err *err);

/* Cancels whatever is scheduled. */
int hl_shutdown_cancel(struct hl_bus *bus, struct hl_shutdown *ret_cancelled, struct hl_err *err);

/* logind's word on whether we may switch off: "yes", "no", "challenge", "na", … */
int hl_shutdown_permission(struct hl_bus *bus, char *ret_word, size_t word_size, struct hl_err *err);

#endif
