/* SPDX-License-Identifier: MIT */
/* changes.h - what is otherwise with the models than when it was looked last.
 *
 * Shape    one call of the bus for all. Only a model whose unit has changed, or that loads, is asked more.
 * Units    look_us is CLOCK_MONOTONIC.
 * Errors   as in config.h, catalog.h and units.h; nothing is told then.
 * Owner    monitor_changes_free().
 * Tests    tests/system/test_events.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_CHANGES_H
#define HL_MODEL_MONITOR_SERVICE_CHANGES_H

#include "base/json.h"
#include "models/cause.h"

struct monitor_known {
        char name[HL_MODEL_NAME_MAX + 1];
        enum hl_unit_state active;
        enum hl_model_state state;
        uint64_t started_us; /* hl_unit_start_hint() */
        uint64_t settled_us; /* until then its cause may be better known; 0: it is known */
        char cause[HL_CAUSE_SIZE];
};

struct monitor_changes {
        struct monitor_known *known; /* by name */
        size_t count;
        uint64_t look_us; /* when to look again though nobody tells of a change; HL_USEC_INFINITY: never */
};

/* The JSON is the callee's: hl_json_free(). */
typedef void monitor_change_fn(void *data, hl_json *json);

/* Tells each model that has changed since; the first time, each model. */
int monitor_changes_look(struct monitor_changes *changes, struct hl_bus *bus, monitor_change_fn *each, void *data,
                         struct hl_err *err);

void monitor_changes_free(struct monitor_changes *changes);

#endif
