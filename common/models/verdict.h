/* SPDX-License-Identifier: MIT */
/* verdict.h - may a model be stopped because nobody uses it? And its stop.
 *
 * Shape    hl_sweep_decide() is a pure function of one look (usage.h): everybody who tells or acts asks it.
 * Units    *_us are microseconds; HL_USEC_INFINITY: does not end.
 * Errors   hl_sweep_stop(): as in usage.h, last_use.h and units.h.
 * Tests    tests/unit/models/test_verdict.c, tests/system/test_sweep.py
 */
#ifndef HL_MODELS_VERDICT_H
#define HL_MODELS_VERDICT_H

#include "systemd/jobs.h"
#include "usage.h"

#define HL_SWEEP_MESSAGE_ID                                                                                            \
        "c0a3b1d5f76a4e0d9c2874f1be5d3a68" /* of each decision in the journal: journalctl MESSAGE_ID=… */

enum hl_sweep_reason {
        HL_SWEEP_STOPPED,
        HL_SWEEP_FAILED,
        HL_SWEEP_STARTING,
        HL_SWEEP_STOPPING,
        HL_SWEEP_NO_PORT,    /* and no IDLE_TIMEOUT of its own: nobody can tell whether it is in use */
        HL_SWEEP_UNREADABLE, /* its file may not be read: what is said of it is not known */
        HL_SWEEP_PINNED,
        HL_SWEEP_RECENTLY_USED,
        HL_SWEEP_IN_FLIGHT,
        HL_SWEEP_LOADING,
        HL_SWEEP_CHANGED, /* its file, and with it its PORT */
        HL_SWEEP_IDLE,    /* the only one with which a model is stopped */
};

struct hl_sweep_decision {
        enum hl_sweep_reason reason;
        uint64_t idle_us; /* HL_USEC_INFINITY: it was never used */
        uint64_t threshold_us;
        uint64_t
                stops_in_us; /* if nothing happens; HL_USEC_INFINITY: not at all, or not while a request is in flight */
        unsigned in_flight;
};

struct hl_sweep_decision hl_sweep_decide(const struct hl_model *model, const struct hl_usage *usage);

/* "idle", "in_flight": stable, for programs. */
const char *hl_sweep_reason_name(enum hl_sweep_reason reason);

/* For people: "unused for 31min 02s, longer than 30min 00s, and nothing in flight". free() */
char *hl_sweep_explain(const struct hl_sweep_decision *decision);

/* Looks once more and, if the model is idle still, queues its stop in the same moment (last_use.h: hl_last_use_lock()).
 * *ret_decision is what the second look gave. 1: *ret_job was begun, to be waited for and freed, and *ret_hold is to be
 * closed a moment after its end; 0: it was not. */
int hl_sweep_stop(struct hl_bus *bus, const struct hl_config *config, struct hl_model *model,
                  struct hl_sweep_decision *ret_decision, struct hl_job *ret_job, int *ret_hold, struct hl_err *err);

#endif
