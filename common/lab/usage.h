/* usage.h - which models are used and which are idle: the one place that says so.
 *
 * Shape    one look at all models: one bus call for the states, one round for the starts of
 *          those that run, one kernel dump for the ports, one file time each.
 * Units    *_us are microseconds; *_at_us are CLOCK_REALTIME, 0 for never.
 * Errors   as in units.h and inflight.h; nothing is known then, and nothing must be stopped.
 * Owner    *ret_usages: free(); item i belongs to catalog->models[i].
 * Tests    tests/unit/test_usage.c, tests/system/test_monitor.py
 */
#ifndef HL_LAB_USAGE_H
#define HL_LAB_USAGE_H

#include "bus.h"
#include "catalog.h"
#include "units.h"

struct hl_usage {
        enum hl_unit_active active;
        uint64_t reported_at_us; /* the activity file: what clients and NGINX told */
        uint64_t traffic_at_us;  /* the last byte on a connection that is still open */
        uint64_t started_at_us;  /* of a running unit */
        uint64_t idle_us;        /* since the latest of these three; HL_NEVER where there is none */
        unsigned in_flight;
        bool is_active; /* a request within active_threshold, or one in flight */
        bool is_idle;   /* runs, nothing in flight, and idle_us is over the model's IDLE_TIMEOUT */
};

int hl_usage_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                  struct hl_usage **ret_usages, struct hl_err *err);

/* The latest request that is known of, from whichever source; 0: never. */
uint64_t hl_usage_last_activity(const struct hl_usage *usage);

#endif
