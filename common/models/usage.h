/* SPDX-License-Identifier: MIT */
/* usage.h - what is known of the use of models: the facts. What they mean, verdict.h decides.
 *
 * Shape    one look at all models: one bus call for the states, one kernel dump for the ports of
 *          those that are up, or of all where an idle host is switched off, and one file time of
 *          each that was ever used. Only of models that nothing else keeps from being idle, systemd
 *          is asked when they were started and which control group they have, the kernel where that
 *          one listens, and the model itself whether it works on something.
 * Units    *_us are microseconds; *_at_us are CLOCK_REALTIME, 0 for never; idle_us and
 *          *_age_us do not run while the host is suspended, HL_USEC_INFINITY where there is none.
 * Errors   as in units.h and sockets.h; nothing is known then, and nothing must be stopped.
 * Owner    *ret_usages: free(); item i belongs to catalog->models[i].
 * Tests    tests/unit/models/test_usage.c, tests/system/test_monitor.py
 */
#ifndef HL_MODELS_USAGE_H
#define HL_MODELS_USAGE_H

#include "config/catalog.h"
#include "systemd/bus.h"
#include "systemd/units.h"

struct hl_usage {
        enum hl_unit_state active;
        uint64_t reported_at_us; /* the activity file: what clients, NGINX and the sweep told */
        uint64_t traffic_at_us;  /* the last byte on a connection that is still open */
        uint64_t started_at_us;  /* of a running unit */
        uint64_t start_age_us;   /* of started_at_us */
        uint64_t report_age_us;  /* of reported_at_us */
        uint64_t traffic_age_us; /* of traffic_at_us */
        uint64_t request_age_us; /* of the later of report and traffic */
        uint64_t idle_us;        /* since the latest of report, traffic and start */
        uint64_t kept_us;        /* for how long it is to stay: keep.h */
        unsigned in_flight;      /* by the kernel's word, or the model's own */
        unsigned unreported;     /* of these, those of which nobody tells when they end: not NGINX's */
        bool ended_unseen;       /* a request has ended, nobody knows when: the sweep's fact, from two looks */
        bool loads;              /* it has not been ready yet, and is in time, says that it loads, or works */
        bool moved;              /* its file is newer than its start, and it is not known where its server listens */
        bool needs_rebase;       /* as in last_use.h */
};

int hl_usage_ask(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                 struct hl_usage **ret_usages, struct hl_err *err);

/* The same where the state of each unit is known: states[i] belongs to catalog->models[i]. */
int hl_usage_ask_known(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                       const enum hl_unit_state *states, struct hl_usage **ret_usages, struct hl_err *err);

/* The same without a question to any model: systemd, files and the kernel alone. */
int hl_usage_observe(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                     struct hl_usage **ret_usages, struct hl_err *err);

/* The latest request that is known of, from whichever source; 0: never. */
uint64_t hl_usage_last_activity(const struct hl_usage *usage);

#endif
