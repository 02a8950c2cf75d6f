/* SPDX-License-Identifier: MIT */
#include "capacity.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernel/cgroups.h"
#include "models/capacity.h"
#include "models/measured.h"
#include "models/queue.h"
#include "service/resources_json.h"

#include <string.h>

static double seconds(uint64_t us)
{
        return (double)us / (double)HL_USEC_PER_SEC;
}

static hl_json *amounts(const uint64_t bytes[static HL_RESOURCES])
{
        hl_json *list = hl_json_new_array();
        char name[HL_RESOURCE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                if (bytes[i] == 0)
                        continue;
                hl_json *one = hl_json_new();
                hl_json_set_string(one, "resource", hl_resource_name(i, name));
                hl_json_set_int(one, "bytes", (int64_t)bytes[i]);
                hl_json_push(list, one);
        }
        return list;
}

static void set_claim(hl_json *json, const struct hl_claim *claim)
{
        hl_json *groups = hl_json_new_array();
        const char *rest = claim->groups, *group;
        size_t len;
        while ((group = hl_next_word(&rest, &len))) {
                HL_CLEANUP(hl_free_pointer) char *word = hl_strndup(group, len);
                hl_json_push_string(groups, word);
        }
        hl_json_set(json, "claims", amounts(claim->bytes));
        hl_json_set(json, "groups", groups);
        hl_json_set_bool(json, "keep", claim->keep);
}

/* Beside what it claims. */
static void set_measured(hl_json *json, const struct hl_model *model, bool runs)
{
        HL_CLEANUP(hl_cgroups_free) struct hl_cgroups groups = { 0 };
        if (runs)
                hl_cgroups_of_unit(model->unit, &groups);
        struct hl_measured measured = hl_measured_of(model), now = hl_measured_now(groups.path);
        hl_json_set(json, "measured", amounts(measured.bytes));
        hl_json_set_time(json, "measured_at", measured.at_us);
        hl_json_set(json, "in_use", amounts(now.bytes));
}

static hl_json *model_of(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model)
{
        static const char *const words[] = {
                [HL_UNIT_STARTING] = "starting", [HL_UNIT_ACTIVE] = "running", [HL_UNIT_STOPPING] = "stopping"
        };
        const struct hl_holder *holder = hl_ledger_find(ledger, model);
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "model_name", model->name);
        set_claim(json, &model->claim);
        hl_json_set_string(json, "holds_as", holder ? words[holder->state] : NULL);
        hl_json_set_time(json, "holds_since",
                         holder ? hl_clock_realtime() - hl_us_minus(hl_clock_monotonic(), holder->begun_us) : 0);
        set_measured(json, model, holder);
        struct hl_fit fit = hl_fit_of(config, ledger, model);
        HL_CLEANUP(hl_free_pointer) char *why = hl_fit_explain(config, ledger, model, &fit);
        hl_json_set_string(json, "fits", hl_fit_name(fit.verdict));
        hl_json_set_string(json, "explanation", *why ? why : NULL);
        return json;
}

/* In the order in which they came. */
static hl_json *waiting(const struct hl_catalog *catalog, const struct hl_ledger *ledger)
{
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        size_t count = hl_queue_read_waiting(catalog, ledger, &queued);
        hl_json *list = hl_json_new_array();
        for (size_t i = 0; i < count; i++) {
                uint64_t age_us = hl_us_minus(hl_clock_monotonic(), queued[i].since_us);
                hl_json *json = hl_json_new();
                hl_json_set_string(json, "model_name", queued[i].model);
                hl_json_set_time(json, "waits_since", hl_clock_realtime() - age_us);
                hl_json_push(list, json);
        }
        return list;
}

int inference_run_capacity(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        const struct hl_config *config = &service->config;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        int r = hl_service_catalog(ctx, &catalog);
        if (r == 0)
                r = hl_ledger_read(&service->bus, config, &catalog, &ledger, &ctx->err);
        if (r < 0)
                return r;
        hl_json *models = hl_json_new_array();
        for (size_t i = 0; i < catalog.count; i++)
                if (hl_claim_is_any(&catalog.models[i].claim))
                        hl_json_push(models, model_of(config, &ledger, &catalog.models[i]));
        hl_json_set_bool(ctx->reply, "limited", config->capacity.is_set);
        hl_json_set_decimal(ctx->reply, "min_residency_seconds", seconds(config->capacity.min_residency_us), 3);
        hl_json_set_decimal(ctx->reply, "queue_seconds", seconds(config->capacity.queue_us), 3);
        hl_json_set(ctx->reply, "resources", hl_resources_json(config, &ledger));
        hl_json_set(ctx->reply, "models", models);
        hl_json_set(ctx->reply, "waiting", waiting(&catalog, &ledger));
        return 0;
}
