/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "models/capacity.h"
#include "models/count.h"
#include "models/queue.h"
#include "models/usage.h"
#include "systemd/shutdown.h"
#include "tally.h"

#include <inttypes.h>
#include <stdlib.h>

/* What is told of a model. The details are of those that run. */
struct model_numbers {
        struct hl_usage usage;
        struct hl_unit_detail detail;
        struct monitor_tally tally;
        uint64_t counts[HL_COUNTED];
        bool runs;
};

static void head(struct hl_buf *out, const char *name, const char *type, const char *help)
{
        hl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Names of models need no escapes. */
static void number(struct hl_buf *out, const char *name, const struct hl_model *model, double value)
{
        hl_buf_addf(out, "%s{model=\"%s\"} %.15g\n", name, model->name, value);
}

static double seconds(uint64_t us)
{
        return (double)us / (double)HL_USEC_PER_SEC;
}

static void add_states(struct hl_buf *out, const struct hl_catalog *catalog, const struct model_numbers *numbers)
{
        static const char *const words[] = { [HL_UNIT_INACTIVE] = "unloaded",
                                             [HL_UNIT_STARTING] = "loading",
                                             [HL_UNIT_ACTIVE] = "loaded",
                                             [HL_UNIT_STOPPING] = "unloading",
                                             [HL_UNIT_FAILED] = "failed" };
        head(out, "hls_model_state", "gauge", "1 for the state that systemd says the model is in, 0 for the others.");
        for (size_t i = 0; i < catalog->count; i++)
                for (size_t state = 0; state < HL_COUNT(words); state++)
                        hl_buf_addf(out, "hls_model_state{model=\"%s\",state=\"%s\"} %d\n", catalog->models[i].name,
                                    words[state], numbers[i].usage.active == state);
}

static bool get_inflight(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        *ret = n->usage.in_flight;
        return model->port != 0;
}

static bool get_last_request(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = seconds(hl_usage_last_activity(&n->usage));
        return *ret > 0;
}

static bool get_timeout(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)n;
        *ret = seconds(model->idle_timeout_us);
        return model->idle_timeout_us != HL_USEC_INFINITY;
}

static bool get_kept(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = seconds(n->usage.kept_us);
        return true;
}

static bool get_idle(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = seconds(n->usage.idle_us);
        return n->runs && n->usage.idle_us != HL_USEC_INFINITY;
}

static bool get_cpu(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = (double)n->detail.cpu_ns / 1e9;
        return n->runs && n->detail.cpu_ns != HL_UNIT_UNKNOWN;
}

static bool get_memory(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = (double)n->detail.memory_bytes;
        return n->runs && n->detail.memory_bytes != HL_UNIT_UNKNOWN;
}

static bool get_evicted(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        *ret = (double)n->counts[HL_COUNTED_EVICTED];
        return hl_claim_is_any(&model->claim);
}

static bool get_held(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        *ret = (double)n->counts[HL_COUNTED_HELD];
        return model->port != 0;
}

static bool get_starts(const struct hl_model *model, const struct model_numbers *n, double *ret)
{
        (void)model;
        *ret = (double)n->tally.starts;
        return true;
}

static void add_models(struct hl_buf *out, const struct hl_catalog *catalog, const struct model_numbers *numbers)
{
        static const struct {
                const char *name, *type, *help;
                bool (*get)(const struct hl_model *model, const struct model_numbers *n, double *ret);
        } metrics[] = {
                { "hls_model_inflight", "gauge", "Requests that the kernel sees on the model's port.", get_inflight },
                { "hls_model_last_request_timestamp_seconds", "gauge", "When the last request was seen.",
                  get_last_request },
                { "hls_model_idle_timeout_seconds", "gauge",
                  "Unused for longer, the model is stopped; none where it is never.", get_timeout },
                { "hls_model_idle_seconds", "gauge", "For how long a running model is unused.", get_idle },
                { "hls_model_kept_seconds", "gauge", "For how much longer the model is kept, however idle it is.",
                  get_kept },
                { "hls_model_cpu_seconds_total", "counter", "CPU time since a running model was started.", get_cpu },
                { "hls_model_memory_bytes", "gauge", "Memory of a running model, with its page cache.", get_memory },
                { "hls_model_held_requests_total", "counter",
                  "Requests through NGINX that were held until the model was ready, since boot.", get_held },
                { "hls_model_starts_total", "counter", "Starts since boot, whoever caused them.", get_starts },
                { "hls_model_evicted_total", "counter",
                  "How often the model had to make room for another since boot; where it claims anything.",
                  get_evicted },
        };
        add_states(out, catalog, numbers);
        for (size_t m = 0; m < HL_COUNT(metrics); m++) {
                head(out, metrics[m].name, metrics[m].type, metrics[m].help);
                double value;
                for (size_t i = 0; i < catalog->count; i++)
                        if (metrics[m].get(&catalog->models[i], &numbers[i], &value))
                                number(out, metrics[m].name, &catalog->models[i], value);
        }
}

/* Of an end the reason is told, of cold starts how many there were and how long they took. */
static void add_tallies(struct hl_buf *out, const struct hl_catalog *catalog, const struct model_numbers *numbers)
{
        head(out, "hls_model_stops_total", "counter", "Ends since boot, and what for.");
        for (size_t i = 0; i < catalog->count; i++)
                for (size_t end = 0; end < MONITOR_ENDS; end++)
                        hl_buf_addf(out, "hls_model_stops_total{model=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
                                    catalog->models[i].name, monitor_end_names[end], numbers[i].tally.ends[end]);
        head(out, "hls_model_cold_start_seconds", "summary",
             "Cold starts since boot that somebody waited for, from the unit's start until the model was ready.");
        for (size_t i = 0; i < catalog->count; i++) {
                number(out, "hls_model_cold_start_seconds_sum", &catalog->models[i],
                       (double)numbers[i].tally.loads_ms / 1e3);
                number(out, "hls_model_cold_start_seconds_count", &catalog->models[i], (double)numbers[i].tally.loads);
        }
}

/* config.json has no error, or nobody would be answered. */
static void add_configuration(struct hl_buf *out, const struct hl_catalog *catalog)
{
        head(out, "hls_configuration_valid", "gauge",
             "1 where \"home-lab-services check\" has nothing to say of the models' files. No metric comes where "
             "config.json has an error.");
        hl_buf_addf(out, "hls_configuration_valid %d\n", catalog->is_valid);
}

/* What the host has for its models, and what those claim that hold it. */
static void add_capacity(struct hl_buf *out, const struct hl_config *config, const struct hl_catalog *catalog,
                         const struct model_numbers *numbers)
{
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        char name[HL_RESOURCE_TEXT];
        if (!config->capacity.is_set)
                return;
        for (size_t i = 0; i < catalog->count; i++)
                hl_ledger_add(&ledger, &catalog->models[i], numbers[i].usage.active);
        head(out, "hls_capacity_bytes", "gauge", "What config.json says the host has, and what running models claim.");
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                if (config->capacity.bytes[i] == 0)
                        continue;
                hl_resource_name(i, name);
                hl_buf_addf(out, "hls_capacity_bytes{resource=\"%s\",kind=\"capacity\"} %" PRIu64 "\n", name,
                            config->capacity.bytes[i]);
                hl_buf_addf(out, "hls_capacity_bytes{resource=\"%s\",kind=\"claimed\"} %" PRIu64 "\n", name,
                            hl_ledger_used(&ledger, i, NULL));
        }
        head(out, "hls_capacity_waiting", "gauge", "Starts that wait for room.");
        hl_buf_addf(out, "hls_capacity_waiting %zu\n", hl_queue_read_waiting(catalog, &ledger, &queued));
}

static int add_shutdown(struct hl_buf *out, struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        struct hl_shutdown s;
        int r = hl_shutdown_get(&service->bus, &s, &ctx->err);
        if (r < 0)
                return r;
        head(out, "hls_shutdown_scheduled_timestamp_seconds", "gauge",
             "When the host shuts down; none where nothing is scheduled.");
        if (s.scheduled)
                hl_buf_addf(out, "hls_shutdown_scheduled_timestamp_seconds{action=\"%s\"} %.15g\n", s.action,
                            seconds(s.at_us));
        return 0;
}

/* A journal that cannot be read keeps nobody from the rest. */
static void read_tallies(const struct hl_catalog *catalog, struct model_numbers *numbers)
{
        HL_CLEANUP(hl_free_pointer) struct monitor_tally *tallies = NULL;
        struct hl_err ignored = { 0 };
        monitor_tally_read(catalog, &tallies, &ignored);
        for (size_t i = 0; i < catalog->count; i++)
                numbers[i].tally = tallies[i];
}

static void read_counts(const struct hl_catalog *catalog, struct model_numbers *numbers)
{
        for (enum hl_counted what = 0; what < HL_COUNTED; what++) {
                HL_CLEANUP(hl_listing_free) struct hl_listing counted = hl_count_list(what);
                for (size_t i = 0; i < catalog->count; i++)
                        if (hl_listing_may_have(&counted, catalog->models[i].name))
                                numbers[i].counts[what] = hl_count_of(what, catalog->models[i].name);
        }
}

/* The usage of all models at once, and the details of those that run, one call each. */
static int read_numbers(struct hl_context *ctx, const struct hl_catalog *catalog, struct model_numbers *numbers)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usages = NULL;
        int r = hl_usage_observe(&service->bus, &service->config, catalog, &usages, &ctx->err);
        for (size_t i = 0; r >= 0 && i < catalog->count; i++) {
                numbers[i].usage = usages[i];
                numbers[i].runs = usages[i].active == HL_UNIT_ACTIVE;
                if (numbers[i].runs)
                        r = hl_units_detail(&service->bus, catalog->models[i].unit, &numbers[i].detail, &ctx->err);
        }
        return r;
}

int monitor_run_metrics(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_service *service = ctx->service;
        struct hl_buf *out = &ctx->response->body;
        int r = hl_service_catalog(ctx, &catalog);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) struct model_numbers *numbers = hl_alloc(catalog.count * sizeof(*numbers));
        r = read_numbers(ctx, &catalog, numbers);
        if (r == 0)
                r = add_shutdown(out, ctx);
        if (r < 0)
                return r;
        read_tallies(&catalog, numbers);
        read_counts(&catalog, numbers);
        add_models(out, &catalog, numbers);
        add_tallies(out, &catalog, numbers);
        add_capacity(out, &service->config, &catalog, numbers);
        add_configuration(out, &catalog);
        head(out, "hls_build_info", "gauge", "1, with the version of Home Lab Services.");
        hl_buf_adds(out, "hls_build_info{version=\"" HL_VERSION "\"} 1\n");
        ctx->response->status = 200;
        ctx->response->content_type = MONITOR_METRICS_TYPE;
        return 0;
}
