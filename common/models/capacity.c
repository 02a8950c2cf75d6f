/* SPDX-License-Identifier: MIT */
#include "capacity.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void hl_ledger_add(struct hl_ledger *ledger, const struct hl_model *model, enum hl_unit_state state)
{
        if (state == HL_UNIT_INACTIVE || state == HL_UNIT_FAILED)
                return;
        ledger->holders = hl_grow(ledger->holders, ledger->count + 1, sizeof(*ledger->holders));
        ledger->holders[ledger->count++] = (struct hl_holder){ .model = model, .state = state };
}

struct collected {
        const struct hl_catalog *catalog;
        struct hl_ledger *ledger;
};

static void collect(void *data, const char *name, enum hl_unit_state active, const char *sub)
{
        struct collected *collected = data;
        const struct hl_catalog *catalog = collected->catalog;
        struct hl_ledger *ledger = collected->ledger;
        size_t before = ledger->count;
        for (size_t i = 0; i < catalog->count; i++) {
                if (strcmp(catalog->models[i].unit, name) != 0)
                        continue;
                hl_ledger_add(ledger, &catalog->models[i], active);
                if (ledger->count > before)
                        ledger->holders[before].undecided = strcmp(sub, "condition") == 0;
                return;
        }
}

static int by_model(const void *a, const void *b)
{
        const struct hl_model *one = ((const struct hl_holder *)a)->model,
                              *other = ((const struct hl_holder *)b)->model;
        return one < other ? -1 : one > other;
}

static int read_instants(struct hl_bus *bus, struct hl_ledger *ledger, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) const char **units = hl_alloc(ledger->count * sizeof(*units));
        HL_CLEANUP(hl_free_pointer) uint64_t *begun_us = hl_alloc(ledger->count * sizeof(*begun_us));
        for (size_t i = 0; i < ledger->count; i++)
                units[i] = ledger->holders[i].model->unit;
        int r = hl_units_begun_at(bus, units, ledger->count, begun_us, err);
        for (size_t i = 0; r == 0 && i < ledger->count; i++)
                ledger->holders[i].begun_us = begun_us[i];
        return r;
}

int hl_ledger_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                   struct hl_ledger *ret_ledger, struct hl_err *err)
{
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        HL_CLEANUP(hl_free_pointer) char *pattern = hl_config_units_pattern(config);
        struct collected collected = { .catalog = catalog, .ledger = &ledger };
        int r = hl_units_each_loaded(bus, pattern, collect, &collected, err);
        if (r < 0)
                return r;
        if (ledger.count > 0) {
                qsort(ledger.holders, ledger.count, sizeof(*ledger.holders), by_model);
                r = read_instants(bus, &ledger, err);
        }
        if (r == 0) {
                *ret_ledger = ledger;
                ledger = (struct hl_ledger){ 0 };
        }
        return r;
}

void hl_ledger_free(struct hl_ledger *ledger)
{
        for (size_t i = 0; i < ledger->count; i++)
                free(ledger->holders[i].note);
        free(ledger->holders);
        *ledger = (struct hl_ledger){ 0 };
}

/* By the unit: the model may be of another catalogue. */
static bool is_of(const struct hl_holder *holder, const struct hl_model *model)
{
        return model && strcmp(holder->model->unit, model->unit) == 0;
}

struct hl_holder *hl_ledger_find(const struct hl_ledger *ledger, const struct hl_model *model)
{
        for (size_t i = 0; i < ledger->count; i++)
                if (is_of(&ledger->holders[i], model))
                        return &ledger->holders[i];
        return NULL;
}

uint64_t hl_ledger_used(const struct hl_ledger *ledger, size_t resource, const struct hl_model *except)
{
        uint64_t used = 0;
        for (size_t i = 0; i < ledger->count; i++)
                if (!ledger->holders[i].ignored && !is_of(&ledger->holders[i], except))
                        used += ledger->holders[i].model->claim.bytes[resource];
        return used;
}

static bool shares_group(const struct hl_holder *holder, const struct hl_model *model)
{
        size_t len;
        return hl_claim_shared_group(&model->claim, &holder->model->claim, &len) != NULL;
}

bool hl_holder_is_in_the_way(const struct hl_holder *holder, const struct hl_model *model, const struct hl_fit *fit)
{
        if (is_of(holder, model))
                return false;
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (fit->lacks[i] > 0 && holder->model->claim.bytes[i] > 0)
                        return true;
        return shares_group(holder, model);
}

/* Against those holders that are not ignored, or only those of them that are kept. */
static struct hl_fit fit_beside(const struct hl_config *config, const struct hl_ledger *ledger,
                                const struct hl_model *model, bool only_kept)
{
        struct hl_fit fit = { .verdict = HL_FIT_NOW };
        uint64_t used[HL_RESOURCES] = { 0 };
        for (size_t i = 0; i < ledger->count; i++) {
                const struct hl_holder *holder = &ledger->holders[i];
                if (holder->ignored || is_of(holder, model) || (only_kept && !holder->model->claim.keep))
                        continue;
                for (size_t j = 0; j < HL_RESOURCES; j++)
                        used[j] += holder->model->claim.bytes[j];
                if (!fit.rival && shares_group(holder, model))
                        fit.rival = holder;
        }
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t claim = model->claim.bytes[i], budget = config->capacity.bytes[i];
                if (claim > 0 && budget > 0 && claim + used[i] > budget)
                        fit.lacks[i] = claim + used[i] - budget;
                if (fit.lacks[i] > 0)
                        fit.verdict = HL_FIT_LATER;
        }
        if (fit.rival)
                fit.verdict = HL_FIT_LATER;
        return fit;
}

struct hl_fit hl_fit_of(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model)
{
        struct hl_fit fit = fit_beside(config, ledger, model, false);
        if (fit.verdict == HL_FIT_NOW)
                return fit;
        struct hl_fit beside_kept = fit_beside(config, ledger, model, true);
        if (beside_kept.verdict == HL_FIT_NOW)
                return fit;
        beside_kept.verdict = HL_FIT_NEVER;
        return beside_kept;
}
