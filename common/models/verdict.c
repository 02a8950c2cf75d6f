/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include "base/clock.h"
#include "base/mem.h"

static enum hl_verdict_reason reason_of(const struct hl_model *model, const struct hl_usage *usage,
                                        const struct hl_verdict *v)
{
        switch (usage->active) {
        case HL_UNIT_INACTIVE:
                return HL_VERDICT_STOPPED;
        case HL_UNIT_FAILED:
                return HL_VERDICT_FAILED;
        case HL_UNIT_STARTING:
                return HL_VERDICT_STARTING;
        case HL_UNIT_STOPPING:
                return HL_VERDICT_STOPPING;
        case HL_UNIT_ACTIVE:
                break;
        }
        if (model->read_error && model->port == 0)
                return HL_VERDICT_UNREADABLE;
        if (model->idle_timeout_us == HL_USEC_INFINITY)
                return model->port == 0 ? HL_VERDICT_NO_PORT : HL_VERDICT_PINNED;
        if (v->kept_us > 0)
                return HL_VERDICT_KEPT;
        if (v->in_flight > 0)
                return HL_VERDICT_IN_FLIGHT;
        if (!v->is_overdue)
                return HL_VERDICT_RECENTLY_USED;
        return usage->loads ? HL_VERDICT_LOADING : usage->moved ? HL_VERDICT_CHANGED : HL_VERDICT_IDLE;
}

/* For how long the model has been unused as the host counts. */
static uint64_t unused_of(const struct hl_model *model, const struct hl_usage *usage, const struct hl_verdict *v)
{
        if (usage->active == HL_UNIT_STARTING || usage->active == HL_UNIT_STOPPING)
                return 0;
        if (usage->active != HL_UNIT_ACTIVE)
                return usage->request_age_us;
        bool can_be_told = model->port != 0 || v->threshold_us != HL_USEC_INFINITY,
             is_young = usage->start_age_us <= model->start_timeout_us; /* it may be loading, for somebody who waits */
        return v->in_flight > 0 || v->kept_us > 0 || !can_be_told || is_young ? 0 : v->idle_us;
}

struct hl_verdict hl_verdict_decide(const struct hl_config *config, const struct hl_model *model,
                                    const struct hl_usage *usage)
{
        uint64_t request_age_us = usage->ended_unseen ? 0 : usage->request_age_us; /* at most now, so now it is */
        struct hl_verdict v = { .idle_us = usage->ended_unseen ? 0 : usage->idle_us,
                                .threshold_us = model->idle_timeout_us,
                                .kept_us = usage->kept_us,
                                .stops_in_us = HL_USEC_INFINITY,
                                .in_flight = usage->in_flight };
        v.is_active = v.in_flight > 0 || request_age_us <= config->active_threshold_us;
        v.is_overdue =
                usage->active == HL_UNIT_ACTIVE && v.threshold_us != HL_USEC_INFINITY && v.idle_us > v.threshold_us;
        v.reason = reason_of(model, usage, &v);
        v.unused_us = unused_of(model, usage, &v);
        if (v.reason == HL_VERDICT_IDLE)
                v.stops_in_us = 0;
        if (v.reason == HL_VERDICT_RECENTLY_USED)
                v.stops_in_us = v.threshold_us - v.idle_us;
        if (v.reason == HL_VERDICT_KEPT && v.in_flight == 0) {
                uint64_t left_us = hl_us_minus(v.threshold_us, v.idle_us);
                v.stops_in_us = left_us > v.kept_us ? left_us : v.kept_us;
        }
        return v;
}

const char *hl_verdict_name(enum hl_verdict_reason reason)
{
        static const char *const names[] = {
                [HL_VERDICT_STOPPED] = "stopped",     [HL_VERDICT_FAILED] = "failed",
                [HL_VERDICT_STARTING] = "starting",   [HL_VERDICT_STOPPING] = "stopping",
                [HL_VERDICT_NO_PORT] = "no_port",     [HL_VERDICT_UNREADABLE] = "unreadable",
                [HL_VERDICT_PINNED] = "pinned",       [HL_VERDICT_RECENTLY_USED] = "recently_used",
                [HL_VERDICT_IN_FLIGHT] = "in_flight", [HL_VERDICT_LOADING] = "loading",
                [HL_VERDICT_CHANGED] = "changed",     [HL_VERDICT_IDLE] = "idle",
                [HL_VERDICT_KEPT] = "kept",
        };
        return names[reason];
}

char *hl_verdict_explain(const struct hl_verdict *verdict)
{
        char idle[HL_SPAN_SIZE], threshold[HL_SPAN_SIZE], kept[HL_SPAN_SIZE];
        hl_format_span(verdict->idle_us, idle);
        hl_format_span(verdict->threshold_us, threshold);
        switch (verdict->reason) {
        case HL_VERDICT_STOPPED:
                return hl_strdup("does not run");
        case HL_VERDICT_FAILED:
                return hl_strdup("does not run: it failed");
        case HL_VERDICT_STARTING:
                return hl_strdup("is starting");
        case HL_VERDICT_STOPPING:
                return hl_strdup("is stopping");
        case HL_VERDICT_NO_PORT:
                return hl_strdup("has no PORT, so nobody can tell whether it is in use, and no IDLE_TIMEOUT");
        case HL_VERDICT_UNREADABLE:
                return hl_strdup("has a file that cannot be read, so nobody can tell whether it is in use: "
                                 "\"home-lab-services check\" says why");
        case HL_VERDICT_PINNED:
                return hl_format("is pinned (IDLE_TIMEOUT=never), unused for %s", idle);
        case HL_VERDICT_KEPT:
                return hl_format("is kept for another %s, unused for %s", hl_format_span(verdict->kept_us, kept), idle);
        case HL_VERDICT_IN_FLIGHT:
                return hl_format("has %u request%s in flight", verdict->in_flight, verdict->in_flight == 1 ? "" : "s");
        case HL_VERDICT_LOADING:
                return hl_strdup("is loading: in its START_TIMEOUT, or because it says so, or works");
        case HL_VERDICT_CHANGED:
                return hl_strdup("runs with an older file, and not on the PORT that the file names now: restart it");
        case HL_VERDICT_RECENTLY_USED:
                return hl_format("unused for %s, not longer than %s", idle, threshold);
        case HL_VERDICT_IDLE:
                break;
        }
        return hl_format("unused for %s, longer than %s, and nothing in flight", idle, threshold);
}
