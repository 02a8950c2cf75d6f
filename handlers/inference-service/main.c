/* SPDX-License-Identifier: MIT */
/* inference-service - list, start, stop and restart models, and see which run: port 5002. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "capacity.h"
#include "change.h"
#include "kernel/sockets.h"
#include "listed.h"
#include "logs.h"
#include "models/cause.h"
#include "models/keep.h"
#include "models/last_use.h"
#include "models/load_time.h"
#include "models/readiness.h"
#include "models/stop.h"
#include "models/turnstile.h"
#include "openai.h"
#include "routes.h"
#include "service/service.h"
#include "systemd/units.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define DRAIN_MAX_SECONDS 3000 /* below RuntimeMaxSec= of the unit that waits */
#define PAUSE_SECONDS 60
#define KEEP_SECONDS (4 * 60 * 60)
#define KEEP_MAX_SECONDS (HL_KEEP_MAX_US / HL_USEC_PER_SEC)
#define PAUSE_MAX_SECONDS (HL_TURNSTILE_LEASE_MAX_US / HL_USEC_PER_SEC)

static int run_models(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(inference_listed_give) struct inference_listed *listed = NULL;
        int r = hl_service_catalog(ctx, &catalog);
        if (r < 0)
                return r;
        listed = inference_listed_take(&catalog);
        hl_json_set(ctx->reply, "models", hl_json_new_text(listed->models));
        inference_set_data(ctx, listed);
        return 0;
}

static int run_running(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = NULL;
        int r = hl_service_catalog(ctx, &catalog);
        if (r == 0)
                r = hl_service_states(service, &catalog, &states, &ctx->err);
        if (r < 0)
                return r;
        hl_json *running = hl_json_new_array();
        for (size_t i = 0; i < catalog.count; i++)
                if (states[i] == HL_UNIT_ACTIVE)
                        hl_json_push_string(running, catalog.models[i].name);
        hl_json_set(ctx->reply, "running_models", running);
        return 0;
}

static void set_detail(struct hl_bus *bus, hl_json *out, const struct hl_model *model, const struct hl_unit_detail *d,
                       const struct hl_traffic *traffic)
{
        char cause[HL_CAUSE_SIZE];
        enum hl_model_state state = hl_cause_of_state(bus, model, d->active, cause);
        bool runs = d->active == HL_UNIT_ACTIVE || d->active == HL_UNIT_STARTING || d->active == HL_UNIT_STOPPING;
        hl_json_set_string(out, "model_name", model->name);
        hl_json_set_bool(out, "running", d->active == HL_UNIT_ACTIVE || d->active == HL_UNIT_STARTING);
        hl_json_set_string(out, "state", hl_model_state_name(state));
        hl_json_set_string(out, "cause", *cause ? cause : NULL);
        hl_json_set_time(out, "since", d->since_us);
        hl_json_set_string(out, "unit", model->unit);
        hl_json_set_string(out, "file_path", model->file_path);
        hl_json_set_int_or_null(out, "port", model->port != 0, model->port);
        hl_json_set_int_or_null(out, "pid", d->main_pid != 0, d->main_pid);
        hl_json_set_int_or_null(out, "memory_bytes", runs && d->memory_bytes != HL_UNIT_UNKNOWN, d->memory_bytes);
        hl_json_set_decimal(out, "cpu_seconds", runs && d->cpu_ns != HL_UNIT_UNKNOWN ? (double)d->cpu_ns / 1e9 : NAN,
                            3);
        hl_json_set_int(out, "restarts", d->restarts);
        hl_json_set_string(out, "last_result", *d->result ? d->result : NULL);
        hl_json_set_int_or_null(out, "last_exit_status", d->exit_code != 0, (uint64_t)d->exit_status);
        hl_json_set_time(out, "last_activity", hl_last_use_at(model->name));
        uint64_t load_us = hl_load_time_of(model->name);
        hl_json_set_decimal(out, "load_seconds", load_us > 0 ? (double)load_us / (double)HL_USEC_PER_SEC : NAN, 3);
        hl_json_set_int_or_null(out, "in_flight", model->port != 0, traffic->in_flight);
        hl_service_set_terms(out, model);
        inference_set_file_error(out, model);
}

static int run_model(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model;
        struct hl_unit_detail detail;
        struct hl_traffic traffic;
        uint16_t port;
        int r = hl_service_model(ctx, &catalog, &model);
        if (r == 0)
                r = hl_units_detail(&service->bus, model->unit, &detail, &ctx->err);
        if (r == 0)
                r = hl_sockets_read_unit(model->port, detail.cgroup, &traffic, &port, &ctx->err);
        if (r >= 0)
                set_detail(&service->bus, ctx->reply, model, &detail, &traffic);
        return r < 0 ? r : 0;
}

static enum inference_wait wait_of(const struct hl_context *ctx)
{
        HL_CLEANUP(hl_free_pointer) char *word = hl_context_parameter(ctx, "wait");
        return word ? inference_wait_of(word) : WAIT_JOB;
}

static int start(struct hl_context *ctx, enum hl_job_verb verb)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model = NULL;
        int r = hl_context_read_body(ctx, NULL);
        if (r == 0)
                r = hl_service_model(ctx, &catalog, &model);
        return r < 0 ? r : inference_change(ctx, model, verb, wait_of(ctx), NULL);
}

static int run_start(struct hl_context *ctx)
{
        return start(ctx, HL_JOB_START);
}

static int run_restart(struct hl_context *ctx)
{
        return start(ctx, HL_JOB_RESTART);
}

static int run_stop(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model = NULL;
        uint64_t drain_seconds = hl_context_number(ctx, "drain", 0);
        unsigned left = 0;
        HL_CLEANUP(hl_close_fd) int place = -1;
        HL_CLEANUP(hl_stop_free) struct hl_stop drained = HL_STOP_INIT;
        struct hl_stop *stop = NULL;
        int r = hl_context_read_body(ctx, NULL);
        if (r == 0)
                r = hl_service_model(ctx, &catalog, &model);
        if (r == 0 && drain_seconds > 0)
                r = inference_take_place(ctx, &place);
        if (r == 0 && drain_seconds > 0) {
                const struct hl_wait until = { hl_clock_monotonic() + drain_seconds * HL_USEC_PER_SEC,
                                               ctx->request->client_fd, ctx->request->on_queued };
                r = hl_stop_drain(&drained, &service->bus, model, &until, &left, &ctx->err);
                if (r == 0)
                        hl_json_set_int(ctx->reply, "cut_requests", left);
                stop = &drained;
        }
        return r < 0 ? r : inference_change(ctx, model, HL_JOB_STOP, wait_of(ctx), stop);
}

/* What lasts for so many seconds and then ends by itself: neither this process nor another has to live so long. */
static int set_term(struct hl_context *ctx, uint64_t usual, int (*set)(const char *model, uint64_t us, struct hl_err *),
                    const char *begun, const char *ended)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model = NULL;
        uint64_t seconds = hl_context_number(ctx, "seconds", usual);
        int r = hl_context_read_body(ctx, NULL);
        if (r == 0)
                r = hl_service_model(ctx, &catalog, &model);
        if (r == 0)
                r = set(model->name, seconds * HL_USEC_PER_SEC, &ctx->err);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) char *message = hl_format("Model %s %s", model->name, seconds > 0 ? begun : ended);
        hl_json_set_string(ctx->reply, "model_name", model->name);
        hl_service_set_terms(ctx->reply, model);
        hl_json_set_string(ctx->reply, "message", message);
        return 0;
}

static int run_pause(struct hl_context *ctx)
{
        return set_term(ctx, PAUSE_SECONDS, hl_turnstile_lease, "is paused", "goes on");
}

static int run_keep(struct hl_context *ctx)
{
        return set_term(ctx, KEEP_SECONDS, hl_keep, "is kept", "may be stopped for being idle");
}

/* ---- the resource: one URL that shows and sets it, for a switch ---- */

struct switch_request {
        bool running;
        const char *wait;
};

static const struct hl_body_field switch_body[] = {
        { { "running", HL_JSON_BOOL, NULL, "true or false" },
          offsetof(struct switch_request, running),
          "send \"running\": true or false" },
        { { "wait", HL_JSON_STRING, NULL, "\"job\", \"ready\" or \"none\"", .choices = "job,ready,none" },
          offsetof(struct switch_request, wait) },
};

/* Some switches take 200 alone for success, so that is the answer although a start may have only begun; and all look at
 * the state at once. */
static int run_set(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model = NULL;
        struct switch_request wanted = { .wait = "job" };
        int r = hl_context_read_body(ctx, &wanted);
        if (r == 0)
                r = hl_service_model(ctx, &catalog, &model);
        if (r < 0)
                return r;
        enum inference_wait until = inference_wait_of(wanted.wait);
        if (until == WAIT_NONE)
                until = WAIT_BEGUN;
        else if (!wanted.running) /* of what is stopped, nothing becomes ready */
                until = WAIT_JOB;
        r = inference_change(ctx, model, wanted.running ? HL_JOB_START : HL_JOB_STOP, until, NULL);
        if (r == 0)
                hl_json_set_bool(ctx->reply, "running", wanted.running);
        ctx->status = 200;
        return r;
}

static int run_health(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        int r = hl_catalog_load(&service->config, "", NULL, &catalog, &err);
        hl_service_health_note(ctx, "models_dir", r, &err);
        enum hl_unit_state ignored;
        err = (struct hl_err){ 0 };
        r = hl_unit_state_of(&service->bus, "home-lab-services.service", &ignored, &err);
        hl_service_health_note(ctx, "systemd", r, &err);
        unsigned version;
        err = (struct hl_err){ 0 };
        r = hl_bus_polkit_version(&service->bus, &version, &err); /* without it no model starts */
        hl_service_health_note(ctx, "polkit", r, &err);
        hl_service_health_socket(ctx, "socket", "inference-service-fastcgi.socket");
        hl_service_health_socket(ctx, "router_socket", "model-router.socket");
        return hl_service_health(ctx);
}

static const struct hl_parameter start_query[] = {
        { "wait", "Until systemd's job has ended (the default), until the model answers, or not at all",
          .choices = "job,ready,none" },
        { 0 },
};

static const struct hl_parameter stop_query[] = {
        { "wait", "Until systemd's job has ended (the default), or not at all", .choices = "job,none" },
        { "drain", "For how many seconds requests in flight may finish first",
          .expected = "a whole number of seconds, at most 3000", .max = DRAIN_MAX_SECONDS },
        { 0 },
};

static const struct hl_parameter pause_query[] = {
        { "seconds", "For how long, 60 if it is not said; 0 ends it",
          .expected = "a whole number of seconds, at most 600", .max = PAUSE_MAX_SECONDS },
        { 0 },
};

static const struct hl_parameter keep_query[] = {
        { "seconds", "For how long, four hours if it is not said; 0 ends it",
          .expected = "a whole number of seconds, at most 604800", .max = KEEP_MAX_SECONDS },
        { 0 },
};

static const struct hl_parameter models_query[] = {
        { "reload", "Taken for llama.cpp's clients; it changes nothing" },
        { 0 },
};

static const struct hl_route table[] = {
        { HL_GET, "/models", run_models, HL_SCOPE_READ, models_query, "All models with their ports and units",
          .reply = inference_reply_models, .errors = inference_errors_list },
        { HL_GET, "/models/running", run_running, HL_SCOPE_READ, NULL, "The models that run",
          .reply = inference_reply_running, .errors = inference_errors_list },
        { HL_POST, "/models/load", inference_run_load, HL_SCOPE_CONTROL, NULL,
          "Start the model that the body names, as llama.cpp's router does", HL_ROUTE_FOREIGN | HL_ROUTE_ANY_TYPE,
          HL_BODY(inference_load_body), .reply = inference_reply_load, .errors = inference_errors_start },
        { HL_POST, "/models/unload", inference_run_unload, HL_SCOPE_CONTROL, NULL,
          "Stop the model that the body names, as llama.cpp's router does", HL_ROUTE_FOREIGN | HL_ROUTE_ANY_TYPE,
          HL_BODY(inference_load_body), .reply = inference_reply_load, .errors = inference_errors_stop },
        { HL_GET, "/models/{model}", run_model, HL_SCOPE_READ, NULL,
          "One model: state, process, last result, requests in flight", .reply = inference_reply_model,
          .errors = inference_errors_model },
        { HL_POST, "/models/{model}", run_set, HL_SCOPE_CONTROL, NULL,
          "Start or stop it: running, true or false; wait, job, ready or none", HL_ROUTE_RESOURCE | HL_ROUTE_ANY_TYPE,
          HL_BODY(switch_body), .reply = inference_reply_set, .errors = inference_errors_start },
        { HL_GET, "/models/{model}/logs", inference_run_logs, HL_SCOPE_LOGS, inference_logs_query,
          "What a model logged; ?lines=1 to 10000, ?format=json or text, ?follow=true", .reply = inference_reply_logs,
          .types = INFERENCE_TEXT "," INFERENCE_JSON_LINES, .errors = inference_errors_logs },
        { HL_POST, "/models/{model}/start", run_start, HL_SCOPE_CONTROL, start_query,
          "Start a model; ?wait=job, ready or none", HL_ROUTE_BEGINS, .reply = inference_reply_change,
          .errors = inference_errors_start },
        { HL_POST, "/models/{model}/stop", run_stop, HL_SCOPE_CONTROL, stop_query,
          "Stop a model; ?wait=job or none, ?drain=SECONDS", HL_ROUTE_BEGINS, .reply = inference_reply_stop,
          .errors = inference_errors_stop },
        { HL_POST, "/models/{model}/pause", run_pause, HL_SCOPE_CONTROL, pause_query,
          "Hold new requests, while those in flight finish; ?seconds=0 to 600, 0 ends it, as a start does",
          .reply = inference_reply_term, .errors = inference_errors_term },
        { HL_POST, "/models/{model}/keep", run_keep, HL_SCOPE_CONTROL, keep_query,
          "Keep it from being stopped for being idle; ?seconds=0 to 604800, 0 ends it", .reply = inference_reply_term,
          .errors = inference_errors_term },
        { HL_POST, "/models/{model}/restart", run_restart, HL_SCOPE_CONTROL, start_query,
          "Restart a model; ?wait=job, ready or none", HL_ROUTE_BEGINS, .reply = inference_reply_change,
          .errors = inference_errors_start },
        { HL_GET, "/capacity", inference_run_capacity, HL_SCOPE_READ, NULL,
          "What the host has for its models, and who holds it", .reply = inference_reply_capacity,
          .errors = inference_errors_list },
        { HL_GET, "/v1/models", inference_run_openai_models, HL_SCOPE_READ | HL_SCOPE_USE, inference_openai_query,
          "All models as the OpenAI API lists them, with their status", HL_ROUTE_FOREIGN | HL_ROUTE_BARE,
          .reply = inference_reply_openai_models, .errors = inference_errors_list },
        { HL_GET, "/v1/models/{model...}", inference_run_openai_model, HL_SCOPE_READ | HL_SCOPE_USE, NULL,
          "One of them, by any of its names", HL_ROUTE_FOREIGN | HL_ROUTE_BARE, .reply = inference_openai_model_fields,
          .errors = inference_errors_openai_model },
        { HL_GET, "/health", run_health, HL_SCOPE_READ, NULL, "Whether this service can do its work",
          .reply = inference_reply_health, .errors = hl_service_health_errors },
};

int main(int argc, char **argv)
{
        static const struct hl_routes routes = { "inference-service", "Inference Service", table,
                                                 HL_COUNT(table),     "/api/inference",    HL_MODEL_NAME_PATTERN };
        return hl_service_main(&routes, argc, argv);
}
