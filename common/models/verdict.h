/* SPDX-License-Identifier: MIT */
/* verdict.h - is a model idle, in use, or what keeps it from being idle? Decided here and nowhere else.
 *
 * Shape    hl_verdict_decide() is a pure function of the facts (usage.h). Whoever tells or acts asks it, and prints
 *          what it says: status, "why", the monitor, the sweep and the host's policy.
 * Units    *_us are microseconds; HL_USEC_INFINITY: does not end.
 * Tests    tests/unit/models/test_verdict.c, tests/system/test_sweep.py
 */
#ifndef HL_MODELS_VERDICT_H
#define HL_MODELS_VERDICT_H

#include "usage.h"

/* Of each decision in the journal: journalctl MESSAGE_ID=… */
#define HL_SWEEP_MESSAGE_ID "c0a3b1d5f76a4e0d9c2874f1be5d3a68"

/* The first that is so. */
enum hl_verdict_reason {
        HL_VERDICT_STOPPED,
        HL_VERDICT_FAILED,
        HL_VERDICT_STARTING,
        HL_VERDICT_STOPPING,
        HL_VERDICT_UNREADABLE,    /* its file may not be read: what is said of it is not known */
        HL_VERDICT_NO_PORT,       /* and no IDLE_TIMEOUT of its own: nobody can tell whether it is in use */
        HL_VERDICT_PINNED,        /* IDLE_TIMEOUT=never */
        HL_VERDICT_KEPT,          /* somebody wants it to stay until a time */
        HL_VERDICT_IN_FLIGHT,     /* a request is */
        HL_VERDICT_RECENTLY_USED, /* not longer ago than its IDLE_TIMEOUT */
        HL_VERDICT_LOADING,       /* over its time, and has not been ready yet */
        HL_VERDICT_CHANGED,       /* over its time, and its file, and with it its PORT, is newer than its start */
        HL_VERDICT_IDLE,          /* the only one with which a model is stopped */
};

struct hl_verdict {
        enum hl_verdict_reason reason;
        uint64_t idle_us; /* since the last use or the start; HL_USEC_INFINITY: it was never used */
        uint64_t threshold_us;
        uint64_t kept_us; /* for how long it is to stay */
        /* If nothing happens. HL_USEC_INFINITY: not at all, or not while a request is in flight. */
        uint64_t stops_in_us;
        uint64_t unused_us; /* as the host counts: 0 while it may be in use, or is on its way for somebody who waits */
        unsigned in_flight;
        bool is_active;  /* a request within active_threshold, or one in flight */
        bool is_overdue; /* runs, and idle_us is over the threshold, whatever is in flight */
};

struct hl_verdict hl_verdict_decide(const struct hl_config *config, const struct hl_model *model,
                                    const struct hl_usage *usage);

/* "idle", "in_flight": stable, for programs. */
const char *hl_verdict_name(enum hl_verdict_reason reason);

/* For people: "unused for 31min 02s, longer than 30min 00s, and nothing in flight". free() */
char *hl_verdict_explain(const struct hl_verdict *verdict);

#endif
