/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/str.h"
#include "base/version.h"
#include "bus_kept.h"
#include "catalog_kept.h"
#include "config/config_kept.h"
#include "kernel/confine.h"
#include "limits.h"
#include "models/keep.h"
#include "models/turnstile.h"
#include "states_shared.h"
#include "systemd/socket_file.h"
#include "systemd/units.h"
#include "transport/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define PATH_LOGGED_MAX 200               /* bytes */
#define REFUSALS_LOGGED_AT_ONCE 100       /* of who is not let in */
#define REFUSAL_LOGGED_US HL_USEC_PER_SEC /* one more each, so that a flood of them fills no journal */

static int scopes_of(void *data, const char *secret)
{
        struct hl_service *service = data;
        return hl_tokens_scopes(secret, &service->token, &service->token_err);
}

static unsigned scopes_of_local(void *data, const struct hl_peer *peer, const char **ret_why)
{
        struct hl_service *service = data;
        service->local = hl_local_find(peer);
        *ret_why = service->local.why;
        return service->local.scopes;
}

/* free() */
static char *limits_folder(const struct hl_service *service)
{
        return hl_format("%s/%s", HL_LIMITS_FOLDER, service->routes->name);
}

int hl_service_take(const struct hl_service *service, const char *what, unsigned count, int *ret_place)
{
        HL_CLEANUP(hl_free_pointer) char *folder = limits_folder(service);
        return hl_limits_take(folder, what, count, ret_place);
}

static void log_request(const struct hl_service *service, const struct hl_request *request, int status,
                        const struct hl_err *err)
{
        int priority = hl_method_has_body(request->method) ? LOG_NOTICE : LOG_INFO;
        if (status >= 500 && err->kind != HL_ERR_CANCELLED) /* that is the client's own doing */
                priority = LOG_ERR;
        else if (hl_status_refuses(status))
                priority = LOG_WARNING;
        if (!hl_log_takes(priority))
                return;
        char status_text[16];
        HL_CLEANUP(hl_free_pointer) char *path = hl_shorten(request->path, strlen(request->path), PATH_LOGGED_MAX);
        snprintf(status_text, sizeof(status_text), "%d", status);
        HL_CLEANUP(hl_free_pointer) char *unit = hl_format("%s.service", service->routes->name);
        const struct hl_log_field fields[] = {
                { "HL_REQUEST_ID", request->id },
                { "HL_METHOD", hl_method_name(request->method) },
                { "HL_PATH", path },
                { "HL_STATUS", status_text },
                { "HL_PEER", request->peer.name },
                { "HL_TOKEN", *service->token.name ? service->token.name : NULL },
                { "HL_USER", *service->local.user ? service->local.user : NULL },
                { "HL_UNIT", unit },
                { NULL, NULL },
        };
        hl_log(priority, fields, "%s %s from %s%s%s%s%s: %d%s%s [%s]", hl_method_name(request->method), path,
               request->peer.name, *service->local.user ? ", user " : "", service->local.user,
               *service->token.name ? " with token " : "", service->token.name, status, err->kind ? ": " : "",
               err->kind ? err->message : "", request->id);
}

static struct hl_guard guard_of(struct hl_service *service)
{
        return (struct hl_guard){ .trust_local = service->config.trust_loopback,
                                  .scopes_of_local = scopes_of_local,
                                  .host_names = service->config.allowed_hosts,
                                  .origins = service->config.allowed_origins,
                                  .scopes_of = scopes_of,
                                  .data = service };
}

/* journald limits the lines of a unit, and each connection is a unit of its own. */
static bool may_log_refusal(const struct hl_service *service)
{
        HL_CLEANUP(hl_free_pointer) char *folder = limits_folder(service);
        return hl_limits_rate(folder, "refusals", REFUSALS_LOGGED_AT_ONCE, REFUSAL_LOGGED_US);
}

static void answer(const void *data, const struct hl_request *request, struct hl_response *response)
{
        struct hl_service service = { .routes = data, .bus = hl_bus_take(), .came_us = request->came_us };
        struct hl_err err = { 0 };
        bool is_let_in = false;
        if (hl_config_kept_load(&service.config, &err) < 0) {
                /* Not even the guard knows its rules: nobody is let in. */
                struct hl_problem problem = hl_problem_of(&err);
                if (err.kind != HL_ERR_BUSY)
                        hl_problem(&problem, 500, "configuration_invalid",
                                   "the configuration is not valid: \"home-lab-services check\" says where");
                hl_response_problem(response, request, &problem);
        } else {
                const struct hl_guard guard = guard_of(&service);
                hl_routes_answer(service.routes, &guard, &service, request, response, &err);
                hl_config_free(&service.config);
                is_let_in = !hl_status_refuses(response->status);
        }
        if (is_let_in || may_log_refusal(&service))
                log_request(&service, request, response->status, service.token_err.kind ? &service.token_err : &err);
        hl_bus_give(&service.bus, err.kind == HL_ERR_NONE);
}

/* A request that is not whole is not logged: nobody has asked for anything yet. */
static void refuse(const void *data, const struct hl_request *request, const struct hl_problem *problem,
                   struct hl_response *response)
{
        struct hl_service service = { .routes = data, .bus = HL_BUS_INIT };
        struct hl_err ignored = { 0 };
        if (hl_config_kept_load(&service.config, &ignored) < 0) {
                hl_response_problem(response, request, problem);
                return;
        }
        const struct hl_guard guard = guard_of(&service);
        hl_routes_refuse(&guard, request, problem, response);
        hl_config_free(&service.config);
}

int hl_service_main(const struct hl_routes *routes, int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EXIT_SUCCESS;
        struct hl_server server = { .name = routes->name, .answer = answer, .refuse = refuse, .service = routes };
        hl_keep_private();
        int r = hl_confine();
        if (r < 0) { /* on stderr: units/generator asks this, too, for itself */
                hl_log(LOG_ERR, NULL, "nothing is answered: this process cannot be kept to its folders: %s",
                       strerror(-r));
                return EX_UNAVAILABLE;
        }
        hl_log_open(routes->name);
        return hl_serve(&server);
}

bool hl_service_still_admits(const struct hl_request *request, unsigned scope)
{
        struct hl_service service = { 0 };
        struct hl_err err = { 0 };
        struct hl_problem problem = { 0 };
        unsigned scopes = HL_SCOPE_NONE;
        if (hl_config_kept_load(&service.config, &err) < 0)
                return err.kind == HL_ERR_BUSY;
        const struct hl_guard guard = guard_of(&service);
        int r = hl_guard_admit_peer(&guard, request, &scopes, &problem);
        hl_config_free(&service.config);
        return r == 0 ? (scopes & scope) != 0 : problem.status == hl_status_of(HL_ERR_BUSY);
}

int hl_service_catalog(struct hl_context *ctx, struct hl_catalog *ret_catalog)
{
        struct hl_service *service = ctx->service;
        return hl_catalog_kept_load(&service->config, ret_catalog, &ctx->err);
}

void hl_service_set_terms(hl_json *out, const struct hl_model *model)
{
        uint64_t paused_us = hl_turnstile_lease_left(model->name), kept_us = hl_keep_left(model->name);
        hl_json_set_time(out, "paused_until", paused_us > 0 ? hl_clock_realtime() + paused_us : 0);
        hl_json_set_time(out, "kept_until", kept_us > 0 ? hl_clock_realtime() + kept_us : 0);
}

int hl_service_states(struct hl_service *service, struct hl_catalog *catalog, enum hl_unit_state **ret_states,
                      struct hl_err *err)
{
        return hl_states_shared_read(&service->bus, &service->config, catalog, service->came_us, ret_states, err);
}

int hl_service_model(struct hl_context *ctx, struct hl_catalog *ret_catalog, const struct hl_model **ret_model)
{
        struct hl_service *service = ctx->service;
        if (!hl_model_name_valid(ctx->param))
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_model_name",
                               "a model's name is letters, digits and . _ : -, begins with a letter or digit, and has "
                               "at most %d bytes",
                               HL_MODEL_NAME_MAX);
        int r = hl_catalog_load(&service->config, ctx->param, NULL, ret_catalog, &ctx->err);
        if (r < 0)
                return r;
        if (ret_catalog->count == 0)
                return hl_fail_no_model(ctx->param, "/models", &ctx->err);
        *ret_model = &ret_catalog->models[0];
        return 0;
}

void hl_service_health_note(struct hl_context *ctx, const char *what, int result, const struct hl_err *err)
{
        hl_json_set_string(ctx->reply, what, result < 0 ? err->message : "ok");
        if (result < 0)
                hl_fail(&ctx->err, HL_ERR_BUSY, -result, "unhealthy", "%s: %s", what, err->message);
}

void hl_service_health_socket(struct hl_context *ctx, const char *what, const char *unit)
{
        struct hl_service *service = ctx->service;
        struct hl_err err = { 0 };
        int r = hl_socket_file_check(&service->bus, unit, &err);
        hl_service_health_note(ctx, what, r, &err);
}

const struct hl_route_error hl_service_health_errors[] = { { 503, "unhealthy" }, { 0 } };

int hl_service_health(struct hl_context *ctx)
{
        return ctx->err.kind ? -ctx->err.errnum : 0;
}
