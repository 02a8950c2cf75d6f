/* SPDX-License-Identifier: MIT */
/* host_policy.h - may the host be switched off because nobody uses any of its models?
 *
 * Shape    hl_host_decide() is a pure function of what one sweep knows; only where it finds nothing against it,
 *          hl_host_blocked() asks logind.
 * Units    *_us are microseconds.
 * Errors   hl_host_blocked(): BUSY and INTERNAL as in bus.h: then it must not be switched off.
 * Source   org.freedesktop.login1(5): ListSessions, Session.Class, ListInhibitors.
 * Tests    tests/unit/model-idle-sweep/test_host_policy.c, tests/system/test_host_idle.py
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_POLICY_H
#define HL_MODEL_IDLE_SWEEP_HOST_POLICY_H

#include "config/config.h"
#include "host_memory.h"
#include "models/verdict.h"
#include "systemd/bus.h"

/* Between the message to users and the end. In the last five minutes logind lets nobody but root log in. */
#define HL_HOST_GRACE_US (UINT64_C(10) * 60 * 1000 * 1000)
#define HL_HOST_WHO_SIZE 160

enum hl_host_reason {
        HL_HOST_DISABLED, /* host_idle_minutes is null */
        HL_HOST_IN_USE,
        HL_HOST_JUST_BOOTED,
        HL_HOST_JUST_RESUMED,
        HL_HOST_CANCELLED, /* somebody cancelled it, and no model was used since */
        HL_HOST_USER_LOGGED_IN,
        HL_HOST_INHIBITED,
        HL_HOST_GOES_TO_SLEEP, /* what is scheduled would come as it wakes up */
        HL_HOST_UNKNOWN,       /* a sweep could not see what is used */
        HL_HOST_SCHEDULED,     /* already, by whomever */
        HL_HOST_IDLE,          /* the only one with which it is switched off */
};

/* What a sweep knows of the host; CLOCK_MONOTONIC, 0: never. */
struct hl_host_seen {
        uint64_t used_us; /* the last use of any model */
        uint64_t resumed_us;
};

/* When any model was last used, on CLOCK_MONOTONIC; now, where one may be in use. */
uint64_t hl_host_last_use(const struct hl_verdict *verdicts, size_t count, uint64_t now_us);

enum hl_host_reason hl_host_decide(const struct hl_config *config, const struct hl_host_seen *seen,
                                   const struct hl_host_memory *memory, uint64_t now_us);

/* *ret_reason: HL_HOST_IDLE, or who is in the way; ret_who then is one line for people, else "". */
int hl_host_blocked(struct hl_bus *bus, enum hl_host_reason *ret_reason, char ret_who[HL_HOST_WHO_SIZE],
                    struct hl_err *err);

const char *hl_host_reason_name(enum hl_host_reason reason);

/* How long users are warned: HL_HOST_GRACE_US, and not longer than the host must have been idle. */
uint64_t hl_host_grace_us(const struct hl_config *config);

#endif
