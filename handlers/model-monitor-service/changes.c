/* SPDX-License-Identifier: MIT */
#include "changes.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/config_kept.h"
#include "models/states.h"
#include "service/catalog_kept.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_US HL_USEC_PER_SEC                          /* from one look at a model that loads to the next */
#define SETTLE_US (HL_CAUSE_TRIES * HL_CAUSE_LAG_US * 2) /* for the log of a model that has failed */

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct monitor_known *)a)->name, ((const struct monitor_known *)b)->name);
}

static const struct monitor_known *find(const struct monitor_changes *changes, const struct monitor_known *wanted)
{
        return changes->count == 0 ? NULL
                                   : bsearch(wanted, changes->known, changes->count, sizeof(*changes->known), by_name);
}

static bool is_settled(const struct monitor_known *known)
{
        return known->settled_us == 0 && known->state != HL_MODEL_LOADING;
}

/* What is known of a model now. before: NULL, or what was known. */
static void look_at(struct hl_bus *bus, const struct hl_model *model, const struct monitor_known *before,
                    struct monitor_known *now)
{
        bool is_same = before && before->active == now->active && before->started_us == now->started_us;
        if (is_same && is_settled(before)) {
                *now = *before;
                return;
        }
        uint64_t now_us = hl_clock_monotonic();
        now->state = hl_cause_of_state(bus, model, now->active, now->cause);
        if (now->state == HL_MODEL_FAILED)
                now->settled_us = !is_same ? now_us + SETTLE_US : now_us < before->settled_us ? before->settled_us : 0;
}

static bool is_running(const struct monitor_known *known)
{
        return known->active == HL_UNIT_ACTIVE || known->active == HL_UNIT_STARTING;
}

/* Whether people would notice. A start and what it leads to may be one state: only a second start is told. */
static bool differs(const struct monitor_known *a, const struct monitor_known *b)
{
        return a->state != b->state || is_running(a) != is_running(b) ||
               (a->active == HL_UNIT_STOPPING) != (b->active == HL_UNIT_STOPPING) ||
               (a->active == HL_UNIT_ACTIVE && b->active == HL_UNIT_ACTIVE && a->started_us != b->started_us) ||
               strcmp(a->cause, b->cause) != 0;
}

/* is_there: its file is. */
static hl_json *json_of(const struct monitor_known *known, bool is_there)
{
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "time", hl_clock_realtime());
        hl_json_set_string(json, "model_name", known->name);
        hl_json_set_string(json, "state", is_there ? hl_model_state_name(known->state) : NULL);
        hl_json_set_string(json, "cause", is_there && *known->cause ? known->cause : NULL);
        hl_json_set_bool(json, "running", is_there && is_running(known));
        hl_json_set_bool(json, "stopping", is_there && known->active == HL_UNIT_STOPPING);
        return json;
}

static int look(const struct monitor_changes *before, struct hl_bus *bus, struct monitor_changes *now,
                struct hl_err *err)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = NULL;
        int r = hl_config_kept_load(&config, err);
        if (r == 0)
                r = hl_catalog_kept_load(&config, &catalog, err);
        if (r < 0)
                return r;
        states = hl_alloc(catalog.count * sizeof(*states));
        r = hl_states_read(bus, &config, &catalog, states, err);
        if (r < 0)
                return r;
        now->known = hl_alloc(catalog.count * sizeof(*now->known));
        now->count = catalog.count;
        now->look_us = HL_USEC_INFINITY;
        for (size_t i = 0; i < catalog.count; i++) {
                const struct hl_model *model = &catalog.models[i];
                struct monitor_known *known = &now->known[i];
                hl_copy(known->name, sizeof(known->name), model->name);
                known->active = states[i];
                known->started_us = states[i] == HL_UNIT_INACTIVE ? 0 : hl_unit_start_hint(model->unit);
                look_at(bus, model, find(before, known), known);
                if (!is_settled(known))
                        now->look_us = hl_clock_monotonic() + LOOK_US;
        }
        return 0;
}

int monitor_changes_look(struct monitor_changes *changes, struct hl_bus *bus, monitor_change_fn *each, void *data,
                         struct hl_err *err)
{
        HL_CLEANUP(monitor_changes_free) struct monitor_changes now = { 0 };
        int r = look(changes, bus, &now, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < changes->count; i++)
                if (!find(&now, &changes->known[i]))
                        each(data, json_of(&changes->known[i], false));
        for (size_t i = 0; i < now.count; i++) {
                const struct monitor_known *before = find(changes, &now.known[i]);
                if (!before || differs(before, &now.known[i]))
                        each(data, json_of(&now.known[i], true));
        }
        const struct monitor_changes old = *changes;
        *changes = now;
        now = old;
        return 0;
}

void monitor_changes_free(struct monitor_changes *changes)
{
        free(changes->known);
        *changes = (struct monitor_changes){ 0 };
}
