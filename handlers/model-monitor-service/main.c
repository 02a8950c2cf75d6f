/* SPDX-License-Identifier: MIT */
/* model-monitor-service - which models are active and which idle, and reports of activity: port 5003. */
#include "base/clock.h"
#include "base/mem.h"
#include "models/last_use.h"
#include "models/verdict.h"
#include "routes.h"
#include "service/service.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWEEP_TIMER "model-idle-sweep.timer"

static int read_usage(struct hl_context *ctx, struct hl_catalog *catalog, struct hl_usage **ret_usages)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = NULL;
        int r = hl_service_catalog(ctx, catalog);
        if (r == 0)
                r = hl_service_states(service, catalog, &states, &ctx->err);
        if (r == 0)
                r = hl_usage_ask_known(&service->bus, &service->config, catalog, states, ret_usages, &ctx->err);
        if (r == 0)
                hl_json_set_time(ctx->reply, "timestamp", hl_clock_realtime());
        return r;
}

static int list(struct hl_context *ctx, const char *key, bool (*belongs)(const struct hl_verdict *))
{
        const struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usages = NULL;
        int r = read_usage(ctx, &catalog, &usages);
        if (r < 0)
                return r;
        hl_json *names = hl_json_new_array();
        for (size_t i = 0; i < catalog.count; i++) {
                const struct hl_verdict v = hl_verdict_decide(&service->config, &catalog.models[i], &usages[i]);
                if (belongs(&v))
                        hl_json_push_string(names, catalog.models[i].name);
        }
        hl_json_set(ctx->reply, key, names);
        return 0;
}

static bool is_active(const struct hl_verdict *v)
{
        return v->is_active;
}

static bool is_idle(const struct hl_verdict *v)
{
        return v->reason == HL_VERDICT_IDLE;
}

static int run_active(struct hl_context *ctx)
{
        return list(ctx, "active_models", is_active);
}

static int run_idle(struct hl_context *ctx)
{
        return list(ctx, "idle_models", is_idle);
}

static hl_json *usage_json(const struct hl_usage *usage, const struct hl_verdict *v)
{
        hl_json *json = hl_json_new(), *sources = hl_json_new();
        hl_json_set_time(json, "last_activity", hl_usage_last_activity(usage));
        hl_json_set_bool(json, "is_active", v->is_active);
        hl_json_set_bool(json, "is_idle", is_idle(v));
        hl_json_set_int_or_null(json, "idle_seconds", v->idle_us != HL_USEC_INFINITY, v->idle_us / HL_USEC_PER_SEC);
        hl_json_set_int_or_null(json, "threshold_seconds", v->threshold_us != HL_USEC_INFINITY,
                                v->threshold_us / HL_USEC_PER_SEC);
        hl_json_set_string(json, "reason", hl_verdict_name(v->reason));
        hl_json_set_time(json, "kept_until", v->kept_us > 0 ? hl_clock_realtime() + v->kept_us : 0);
        hl_json_set_int(json, "in_flight", v->in_flight);
        hl_json_set_time(sources, "report", usage->reported_at_us);
        hl_json_set_time(sources, "traffic", usage->traffic_at_us);
        hl_json_set_time(sources, "start", usage->started_at_us);
        hl_json_set(json, "sources", sources);
        return json;
}

/* Of models that nobody has used, all is the same but for the name, and is written once for an answer. */
struct unused {
        struct hl_verdict verdict;
        struct hl_buf text; /* JSON */
};

static void free_unused(struct unused *unused)
{
        hl_buf_free(&unused->text);
}

static bool says_the_same(const struct hl_verdict *a, const struct hl_verdict *b)
{
        return a->reason == b->reason && a->idle_us == b->idle_us && a->threshold_us == b->threshold_us &&
               a->in_flight == b->in_flight && a->is_active == b->is_active && a->kept_us == b->kept_us;
}

static void add_activity(const struct hl_usage *usage, const struct hl_verdict *v, struct unused *unused,
                         struct hl_buf *out)
{
        bool is_used = hl_usage_last_activity(usage) != 0 || usage->started_at_us != 0;
        if (is_used || !unused->text.data || !says_the_same(&unused->verdict, v)) {
                HL_CLEANUP(hl_json_cleanup) hl_json *json = usage_json(usage, v);
                if (is_used) {
                        hl_json_add_text(json, out);
                        return;
                }
                hl_buf_free(&unused->text);
                hl_json_add_text(json, &unused->text);
                unused->verdict = *v;
        }
        hl_buf_add(out, unused->text.data, unused->text.len);
}

static int run_activity(struct hl_context *ctx)
{
        const struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usages = NULL;
        int r = read_usage(ctx, &catalog, &usages);
        if (r < 0)
                return r;
        HL_CLEANUP(free_unused) struct unused unused = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        hl_buf_adds(&text, "{");
        for (size_t i = 0; i < catalog.count; i++) {
                const struct hl_verdict v = hl_verdict_decide(&service->config, &catalog.models[i], &usages[i]);
                hl_buf_adds(&text, i > 0 ? ",\"" : "\"");
                hl_buf_adds(&text, catalog.models[i].name); /* in which nothing is to be escaped */
                hl_buf_adds(&text, "\":");
                add_activity(&usages[i], &v, &unused, &text);
        }
        hl_buf_adds(&text, "}");
        hl_json_set(ctx->reply, "activity_status", hl_json_new_text(text.data));
        return 0;
}

static int run_report(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model;
        int r = hl_context_read_body(ctx, NULL);
        if (r == 0)
                r = hl_service_model(ctx, &catalog, &model);
        if (r == 0)
                r = hl_last_use_record(model->name, &ctx->err);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) char *message = hl_format("Activity reported for model %s", model->name);
        hl_json_set_string(ctx->reply, "message", message);
        hl_json_set_string(ctx->reply, "model_name", model->name);
        hl_json_set_time(ctx->reply, "last_activity", hl_last_use_at(model->name));
        return 0;
}

/* That systemd answers, and what of the timer: with one question. A timer that is stopped may be meant to be. */
static void note_sweep(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        enum hl_unit_state active = HL_UNIT_INACTIVE;
        struct hl_err err = { 0 };
        int r = hl_unit_state_of(&service->bus, SWEEP_TIMER, &active, &err);
        hl_service_health_note(ctx, "systemd", r, &err);
        if (r == 0 && active == HL_UNIT_FAILED)
                r = hl_fail(&err, HL_ERR_BUSY, EIO, "unhealthy",
                            "it has failed, so no idle model is stopped: systemctl restart " SWEEP_TIMER);
        hl_service_health_note(ctx, "sweep_timer", r, &err);
}

static int run_health(struct hl_context *ctx)
{
        HL_CLEANUP(hl_free_pointer) char *folder = hl_format("%s/activity", hl_state_dir());
        struct hl_err err = { 0 };
        int r = access(folder, W_OK | X_OK) == 0
                        ? 0
                        : hl_fail(&err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", folder);
        hl_service_health_note(ctx, "activity_dir", r, &err);
        note_sweep(ctx);
        hl_service_health_socket(ctx, "socket", "model-monitor-service-fastcgi.socket");
        hl_service_health_socket(ctx, "activity_socket", "model-activity.socket");
        return hl_service_health(ctx);
}

static const struct hl_route table[] = {
        { HL_GET, "/models/active", run_active, HL_SCOPE_READ, NULL,
          "Models with a request in the last active_threshold_minutes", .reply = monitor_reply_active,
          .errors = monitor_errors_all },
        { HL_GET, "/models/idle", run_idle, HL_SCOPE_READ, NULL,
          "Models that run and are unused for longer than their idle timeout", .reply = monitor_reply_idle,
          .errors = monitor_errors_all },
        { HL_GET, "/models/activity", run_activity, HL_SCOPE_READ, NULL,
          "Activity of every model, and where it is known from", .reply = monitor_reply_activity,
          .errors = monitor_errors_all },
        { HL_GET, "/models/{model}/why", monitor_run_why, HL_SCOPE_READ, NULL,
          "Whether the sweep would stop the model now, and its last decisions", .reply = monitor_reply_why,
          .errors = monitor_errors_why },
        { HL_GET, "/models/{model}/history", monitor_run_history, HL_SCOPE_READ, monitor_history_query,
          "When the model ran; ?hours=1 to 168", .reply = monitor_reply_history, .errors = monitor_errors_why },
        { HL_GET, "/events", monitor_run_events, HL_SCOPE_READ, NULL,
          "What changes, as server-sent events: models, decisions of the sweep, the shutdown, capacity",
          .types = MONITOR_EVENTS_TYPE, .errors = monitor_errors_events },
        { HL_GET, "/metrics", monitor_run_metrics, HL_SCOPE_READ, NULL, "For Prometheus", .types = MONITOR_METRICS_TYPE,
          .errors = monitor_errors_all },
        { HL_POST, "/models/{model}/report", run_report, HL_SCOPE_REPORT, NULL, "Record that a model is being used now",
          .reply = monitor_reply_report, .errors = monitor_errors_report },
        { HL_GET, "/health", run_health, HL_SCOPE_READ, NULL, "Whether this service can do its work",
          .reply = monitor_reply_health, .errors = hl_service_health_errors },
};

int main(int argc, char **argv)
{
        static const struct hl_routes routes = {
                "model-monitor-service", "Model Monitor Service", table,
                HL_COUNT(table),         "/api/monitor",          HL_MODEL_NAME_PATTERN
        };
        return hl_service_main(&routes, argc, argv);
}
