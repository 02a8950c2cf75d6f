/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include "base/clock.h"
#include "base/mem.h"
#include "last_use.h"

#include <stdlib.h>

static enum hl_sweep_reason reason_of(const struct hl_model *model, const struct hl_usage *usage)
{
        switch (usage->active) {
        case HL_UNIT_INACTIVE:
                return HL_SWEEP_STOPPED;
        case HL_UNIT_FAILED:
                return HL_SWEEP_FAILED;
        case HL_UNIT_STARTING:
                return HL_SWEEP_STARTING;
        case HL_UNIT_STOPPING:
                return HL_SWEEP_STOPPING;
        case HL_UNIT_ACTIVE:
                break;
        }
        if (model->read_error && model->port == 0)
                return HL_SWEEP_UNREADABLE;
        if (model->idle_timeout_us == HL_USEC_INFINITY)
                return model->port == 0 ? HL_SWEEP_NO_PORT : HL_SWEEP_PINNED;
        if (usage->in_flight > 0)
                return HL_SWEEP_IN_FLIGHT;
        if (usage->is_loading)
                return HL_SWEEP_LOADING;
        if (usage->is_changed)
                return HL_SWEEP_CHANGED;
        return usage->is_idle ? HL_SWEEP_IDLE : HL_SWEEP_RECENTLY_USED;
}

struct hl_sweep_decision hl_sweep_decide(const struct hl_model *model, const struct hl_usage *usage)
{
        struct hl_sweep_decision decision = { .reason = reason_of(model, usage),
                                              .idle_us = usage->idle_us,
                                              .threshold_us = model->idle_timeout_us,
                                              .stops_in_us = HL_USEC_INFINITY,
                                              .in_flight = usage->in_flight };
        if (decision.reason == HL_SWEEP_IDLE)
                decision.stops_in_us = 0;
        if (decision.reason == HL_SWEEP_RECENTLY_USED && decision.idle_us <= decision.threshold_us)
                decision.stops_in_us = decision.threshold_us - decision.idle_us;
        return decision;
}

const char *hl_sweep_reason_name(enum hl_sweep_reason reason)
{
        static const char *const names[] = {
                [HL_SWEEP_STOPPED] = "stopped",     [HL_SWEEP_FAILED] = "failed",
                [HL_SWEEP_STARTING] = "starting",   [HL_SWEEP_STOPPING] = "stopping",
                [HL_SWEEP_NO_PORT] = "no_port",     [HL_SWEEP_UNREADABLE] = "unreadable",
                [HL_SWEEP_PINNED] = "pinned",       [HL_SWEEP_RECENTLY_USED] = "recently_used",
                [HL_SWEEP_IN_FLIGHT] = "in_flight", [HL_SWEEP_LOADING] = "loading",
                [HL_SWEEP_CHANGED] = "changed",     [HL_SWEEP_IDLE] = "idle",
        };
        return names[reason];
}

char *hl_sweep_explain(const struct hl_sweep_decision *decision)
{
        char idle[HL_SPAN_SIZE], threshold[HL_SPAN_SIZE];
        hl_format_span(decision->idle_us, idle);
        hl_format_span(decision->threshold_us, threshold);
        switch (decision->reason) {
        case HL_SWEEP_STOPPED:
                return hl_strdup("does not run");
        case HL_SWEEP_FAILED:
                return hl_strdup("does not run: it failed");
        case HL_SWEEP_STARTING:
                return hl_strdup("is starting");
        case HL_SWEEP_STOPPING:
                return hl_strdup("is stopping");
        case HL_SWEEP_NO_PORT:
                return hl_strdup("has no PORT, so nobody can tell whether it is in use, and no IDLE_TIMEOUT");
        case HL_SWEEP_UNREADABLE:
                return hl_strdup("has a file that cannot be read, so nobody can tell whether it is in use: "
                                 "\"home-lab-services check\" says why");
        case HL_SWEEP_PINNED:
                return hl_format("is pinned (IDLE_TIMEOUT=never), unused for %s", idle);
        case HL_SWEEP_IN_FLIGHT:
                return hl_format("has %u request%s in flight", decision->in_flight,
                                 decision->in_flight == 1 ? "" : "s");
        case HL_SWEEP_LOADING:
                return hl_strdup("is loading: in its START_TIMEOUT, or because it says so, or works");
        case HL_SWEEP_CHANGED:
                return hl_strdup("runs with an older file, and not on the PORT that the file names now: restart it");
        case HL_SWEEP_RECENTLY_USED:
                return hl_format("unused for %s, not longer than %s", idle, threshold);
        case HL_SWEEP_IDLE:
                break;
        }
        return hl_format("unused for %s, longer than %s, and nothing in flight", idle, threshold);
}

int hl_sweep_stop(struct hl_bus *bus, const struct hl_config *config, struct hl_model *model,
                  struct hl_sweep_decision *ret_decision, struct hl_job *ret_job, int *ret_hold, struct hl_err *err)
{
        const struct hl_catalog alone = { .models = model, .count = 1 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usage = NULL;
        HL_CLEANUP(hl_close_fd) int hold = -1;
        int r = hl_last_use_lock(model->name, &hold, err);
        if (r >= 0)
                r = hl_usage_ask(bus, config, &alone, &usage, err);
        if (r < 0)
                return r;
        *ret_decision = hl_sweep_decide(model, usage);
        if (ret_decision->reason != HL_SWEEP_IDLE)
                return 0;
        *ret_job = (struct hl_job){ .bus = bus, .verb = HL_JOB_STOP, .name = model->unit };
        r = hl_job_begin(ret_job, err);
        if (r < 0) {
                hl_job_free(ret_job);
                return r;
        }
        hl_last_use_mark_stopping(hold);
        *ret_hold = hold;
        hold = -1;
        return 1;
}
