/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "decisions.h"
#include "models/capacity.h"
#include "models/cause.h"
#include "models/verdict.h"

#include <stdlib.h>

#define DECISIONS_MAX 20

static void set_seconds(hl_json *json, const char *key, uint64_t us)
{
        hl_json_set_int_or_null(json, key, us != HL_USEC_INFINITY, us / HL_USEC_PER_SEC);
}

static void set_now(struct hl_service *service, hl_json *out, const struct hl_model *model,
                    const struct hl_usage *usage)
{
        char cause[HL_CAUSE_SIZE];
        enum hl_model_state state = hl_cause_of_state(&service->bus, model, usage->active, cause);
        const struct hl_verdict v = hl_verdict_decide(&service->config, model, usage);
        HL_CLEANUP(hl_free_pointer) char *explanation = hl_verdict_explain(&v);
        hl_json_set_string(out, "model_name", model->name);
        hl_json_set_string(out, "state", hl_model_state_name(state));
        hl_json_set_string(out, "cause", *cause ? cause : NULL);
        hl_json_set_string(out, "decision", v.reason == HL_VERDICT_IDLE ? "stop" : "keep");
        hl_json_set_string(out, "reason", hl_verdict_name(v.reason));
        hl_json_set_string(out, "explanation", explanation);
        set_seconds(out, "idle_seconds", v.idle_us);
        set_seconds(out, "threshold_seconds", v.threshold_us);
        hl_json_set_int(out, "in_flight", v.in_flight);
        hl_service_set_terms(out, model);
        hl_json_set_time(out, "stops_at", v.stops_in_us == HL_USEC_INFINITY ? 0 : hl_clock_realtime() + v.stops_in_us);
}

/* What a start of it would do now. */
static int set_start(struct hl_context *ctx, const struct hl_model *model)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        int r = 0;
        if (hl_claim_matters(&model->claim, &service->config.capacity)) {
                r = hl_service_catalog(ctx, &catalog);
                if (r == 0)
                        r = hl_ledger_read(&service->bus, &service->config, &catalog, &ledger, &ctx->err);
        }
        if (r < 0)
                return r;
        struct hl_fit fit = hl_fit_of(&service->config, &ledger, model);
        HL_CLEANUP(hl_free_pointer) char *words = hl_fit_explain(&service->config, &ledger, model, &fit);
        hl_json *start = hl_json_new();
        hl_json_set_string(start, "fits", hl_fit_name(fit.verdict));
        hl_json_set_string(start, "explanation", *words ? words : NULL);
        hl_json_set(ctx->reply, "start", start);
        return 0;
}

static void add_decision(void *data, const struct hl_journal_entry *entry)
{
        hl_json_push(data, monitor_decision_json(entry));
}

static int set_decisions(struct hl_context *ctx, const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *by_model = hl_format("HL_MODEL=%s", model);
        HL_CLEANUP(hl_free_pointer) char *by_user = monitor_decision_user();
        const char *const matches[] = { MONITOR_DECISION_ID, by_user, by_model, NULL };
        const struct hl_journal_query query = { .matches = matches,
                                                .fields = monitor_decision_fields,
                                                .last = DECISIONS_MAX };
        hl_json *decisions = hl_json_new_array();
        hl_json_set(ctx->reply, "decisions", decisions);
        return hl_journal_read(&query, add_decision, decisions, &ctx->err);
}

int monitor_run_why(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usage = NULL;
        const struct hl_model *model;
        int r = hl_service_model(ctx, &catalog, &model);
        if (r == 0)
                r = hl_usage_ask(&service->bus, &service->config, &catalog, &usage, &ctx->err);
        if (r < 0)
                return r;
        set_now(service, ctx->reply, model, usage);
        r = set_start(ctx, model);
        return r < 0 ? r : set_decisions(ctx, model->name);
}
