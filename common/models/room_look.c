/* SPDX-License-Identifier: MIT */
#include "room_look.h"

#include "base/clock.h"
#include "base/mem.h"
#include "last_use.h"
#include "load_time.h"
#include "ready_mark.h"
#include "usage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_queued(const struct hl_room_look *look, const char *model)
{
        for (size_t i = 0; i < look->queued_count; i++)
                if (strcmp(look->queued[i].model, model) == 0)
                        return true;
        return false;
}

/* What keeps it, for people. free() */
static char *note_of(const struct hl_plan_fact *fact, const struct hl_config *config)
{
        char span[HL_SPAN_SIZE];
        uint64_t min_us = config->capacity.min_residency_us;
        if (fact->is_loaded && fact->resident_us < min_us) /* it stays, also when its requests have ended */
                return hl_format("loaded %s ago, and stays for %" PRIu64 " s", hl_format_span(fact->resident_us, span),
                                 min_us / HL_USEC_PER_SEC);
        if (fact->in_flight > 0)
                return hl_format("%u request%s in flight", fact->in_flight, fact->in_flight == 1 ? "" : "s");
        if (!fact->is_loaded)
                return hl_strdup("not known to be ready");
        return fact->is_wanted || fact->is_coming ? hl_strdup("in use") : NULL;
}

static struct hl_plan_fact fact_of(const struct hl_room_look *look, const struct hl_model *model,
                                   const struct hl_usage *usage, bool is_held)
{
        uint64_t load_us = hl_load_time_of(model->name),
                 started_us = hl_us_minus(hl_clock_monotonic(), usage->start_age_us);
        bool can_be_told = model->port != 0 && !model->read_error,
             is_coming = usage->in_flight == 0 && usage->report_age_us < HL_LAST_USE_ANNOUNCED_US;
        return (struct hl_plan_fact){
                .in_flight = usage->in_flight,
                .is_wanted = !is_held && is_queued(look, model->name),
                .is_coming = !is_held && is_coming,
                .is_loaded = can_be_told && (hl_ready_mark_since(model->name, started_us) ||
                                             usage->start_age_us > model->start_timeout_us),
                .resident_us = hl_us_minus(usage->start_age_us, load_us),
                .idle_us = usage->idle_us,
                .load_us = load_us,
        };
}

static int read_facts(struct hl_room_look *look, struct hl_bus *bus, hl_room_held_fn *is_held, void *data,
                      struct hl_err *err)
{
        size_t count = look->ledger.count;
        HL_CLEANUP(hl_free_pointer) struct hl_model *models = hl_alloc(count * sizeof(*models));
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usages = NULL;
        const struct hl_catalog held = { .models = models, .count = count };
        for (size_t i = 0; i < count; i++)
                models[i] = *look->ledger.holders[i].model;
        int r = count > 0 ? hl_usage_observe(bus, &look->config, &held, &usages, err) : 0;
        if (r < 0)
                return r;
        look->facts = hl_alloc(count * sizeof(*look->facts));
        for (size_t i = 0; i < count; i++) {
                struct hl_holder *holder = &look->ledger.holders[i];
                look->facts[i] = fact_of(look, &models[i], &usages[i], is_held(data, models[i].name));
                if (holder->state == HL_UNIT_ACTIVE && !holder->model->claim.keep)
                        holder->note = note_of(&look->facts[i], &look->config);
        }
        return 0;
}

static int fill(struct hl_room_look *look, struct hl_bus *bus, const char *model, const struct hl_ticket *ticket,
                hl_room_held_fn *is_held, void *data, struct hl_err *err)
{
        int r = hl_config_load(NULL, &look->config, err);
        if (r >= 0)
                r = hl_catalog_load(&look->config, NULL, NULL, &look->catalog, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < look->catalog.count && !look->model; i++)
                if (strcmp(look->catalog.models[i].name, model) == 0)
                        look->model = &look->catalog.models[i];
        if (!hl_room_look_matters(look))
                return 0;
        look->queued_count = hl_queue_read(ticket, &look->queued);
        r = hl_ledger_read(bus, &look->config, &look->catalog, &look->ledger, err);
        return r < 0 ? r : read_facts(look, bus, is_held, data, err);
}

int hl_room_look(struct hl_bus *bus, const char *model, const struct hl_ticket *ticket, hl_room_held_fn *is_held,
                 void *data, struct hl_room_look *ret_look, struct hl_err *err)
{
        struct hl_room_look look = { 0 };
        int r = fill(&look, bus, model, ticket, is_held, data, err);
        if (r < 0)
                hl_room_look_free(&look);
        else
                *ret_look = look;
        return r;
}

void hl_room_look_free(struct hl_room_look *look)
{
        free(look->queued);
        free(look->facts);
        hl_ledger_free(&look->ledger);
        hl_catalog_free(&look->catalog);
        hl_config_free(&look->config);
        *look = (struct hl_room_look){ 0 };
}

bool hl_room_look_matters(const struct hl_room_look *look)
{
        return look->model && hl_claim_matters(&look->model->claim, &look->config.capacity);
}

static bool compete(const struct hl_room_look *look, const struct hl_claim *a, const struct hl_claim *b)
{
        size_t len;
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (look->config.capacity.bytes[i] > 0 && a->bytes[i] > 0 && b->bytes[i] > 0)
                        return true;
        return hl_claim_shared_group(a, b, &len);
}

/* Whether it waits for room still: what runs has it. */
static bool waits(const struct hl_room_look *look, const struct hl_model *model)
{
        const struct hl_holder *holder = hl_ledger_find(&look->ledger, model);
        return !holder || holder->state == HL_UNIT_STOPPING;
}

const struct hl_queued *hl_room_look_before(const struct hl_room_look *look)
{
        for (size_t i = 0; i < look->queued_count && !look->queued[i].is_own; i++) {
                const struct hl_model *other = hl_catalog_find_named(&look->catalog, look->queued[i].model);
                if (other && waits(look, other) &&
                    (other == look->model || compete(look, &other->claim, &look->model->claim)))
                        return &look->queued[i];
        }
        return NULL;
}
