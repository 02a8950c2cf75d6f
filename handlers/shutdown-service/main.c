/* SPDX-License-Identifier: MIT */
/* shutdown-service - schedule, cancel and see shutdowns of the host: port 5001. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "routes.h"
#include "service/service.h"
#include "service/shutdown_json.h"
#include "systemd/shutdown.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define ADVICE "; if it stays so: systemctl restart systemd-logind"

/* A logind that has lost the bus, as after a restart of that, may not find it again by itself. */
static int or_advise(int r, struct hl_err *err)
{
        size_t len = strlen(err->message);
        if (r < 0 && strcmp(err->code, "bus_busy") == 0 && len + sizeof(ADVICE) <= sizeof(err->message))
                memcpy(err->message + len, ADVICE, sizeof(ADVICE));
        return r;
}

static int get(struct hl_context *ctx, struct hl_shutdown *ret_shutdown, struct hl_err *err)
{
        struct hl_service *service = ctx->service;
        return or_advise(hl_shutdown_get(&service->bus, ret_shutdown, err), err);
}

struct schedule_request {
        bool scheduled; /* what the resource is to be; of no meaning to /shutdown/schedule */
        double minutes; /* NaN: not given */
        const char *at, *action, *message;
        bool replace;
};

static int parse_at(const char *text, uint64_t *ret_at_us, struct hl_err *err)
{
        int r = hl_parse_time(text, ret_at_us);
        if (r == -ERANGE)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_body",
                               "\"at\" names a time that this host's clocks never show: they are put forward then; add "
                               "an offset, such as \"+01:00\"");
        if (r < 0)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_body",
                               "\"at\" must be a time such as \"2026-01-31T23:00:00+01:00\", or without the offset for "
                               "this host's local time");
        return 0;
}

/* Without what hl_is_printable() refuses. */
#define PRINTABLE "^[^\\x00-\\x1F\\x7F-\\x9F\\u2028-\\u202E\\u2066-\\u2069]*$"
#define AT(member) offsetof(struct schedule_request, member)

/* The last one is the resource's alone. */
static const struct hl_body_field schedule_body[] = {
        { { "minutes", HL_JSON_NUMBER, NULL, "a number of minutes of at least one second (0.0167) and at most 525600",
            1.0 / 60, HL_MINUTES_MAX, .in_text = true },
          AT(minutes) },
        { { "at", HL_JSON_STRING, NULL, "a time such as \"2026-01-31T23:00:00+01:00\"" }, AT(at) },
        { { "action", HL_JSON_STRING, NULL, "\"poweroff\", \"reboot\" or \"halt\"", .choices = "poweroff,reboot,halt" },
          AT(action) },
        { { "message", HL_JSON_STRING, NULL, "a string of at most 200 bytes", .max = HL_SHUTDOWN_MESSAGE_MAX },
          AT(message),
          .pattern = PRINTABLE },
        { { "replace", HL_JSON_BOOL, NULL, "true or false" }, AT(replace) },
        { { "scheduled", HL_JSON_BOOL, NULL, "true or false" },
          AT(scheduled),
          "send \"scheduled\": true, with what POST /shutdown/schedule takes, or false" },
};

static int read_schedule_request(struct hl_context *ctx, struct schedule_request *wanted, uint64_t *ret_at_us)
{
        const struct hl_service *service = ctx->service;
        int r = hl_context_read_body(ctx, wanted);
        if (r < 0)
                return r;
        if (wanted->message && !hl_is_printable(wanted->message))
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_body",
                               "\"message\" must be one line without control characters");

        uint64_t now_us = hl_clock_realtime(), at_us = 0;
        if (!wanted->at) {
                double minutes = isnan(wanted->minutes) ? service->config.default_minutes : wanted->minutes;
                at_us = now_us + (uint64_t)(minutes * (double)HL_USEC_PER_MINUTE);
        } else if ((r = parse_at(wanted->at, &at_us, &ctx->err)) < 0) {
                return r;
        }
        if (at_us > now_us + HL_MINUTES_MAX * HL_USEC_PER_MINUTE)
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_body",
                               "\"at\" must be at most 525600 minutes (a year) from now");
        *ret_at_us = at_us;
        return 0;
}

static int schedule(struct hl_context *ctx, const struct schedule_request *wanted, uint64_t at_us)
{
        struct hl_service *service = ctx->service;
        struct hl_shutdown replaced, shutdown;
        int r = hl_shutdown_schedule(&service->bus, wanted->action, at_us, wanted->message, wanted->replace, &replaced,
                                     &ctx->err);
        if (r == -EEXIST && hl_shutdown_get(&service->bus, &shutdown, &(struct hl_err){ 0 }) == 0)
                hl_shutdown_json_set(ctx->reply, "shutdown", &shutdown);
        if (r < 0)
                return or_advise(r, &ctx->err);
        r = get(ctx, &shutdown, &ctx->err);
        if (r < 0)
                return r;

        char at[HL_RFC3339_SIZE];
        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("Shutdown (%s) scheduled for %s", wanted->action, hl_format_rfc3339(at_us, at));
        hl_json_set_string(ctx->reply, "message", message);
        hl_shutdown_json_set(ctx->reply, "shutdown", &shutdown);
        if (replaced.scheduled)
                hl_shutdown_json_set(ctx->reply, "replaced", &replaced);
        return 0;
}

static int run_schedule(struct hl_context *ctx)
{
        const struct hl_service *service = ctx->service;
        struct schedule_request wanted = { .minutes = NAN, .action = service->config.default_action };
        uint64_t at_us = 0;
        int r = read_schedule_request(ctx, &wanted, &at_us);
        return r < 0 ? r : schedule(ctx, &wanted, at_us);
}

static int run_next(struct hl_context *ctx)
{
        struct hl_shutdown shutdown;
        int r = get(ctx, &shutdown, &ctx->err);
        if (r < 0)
                return r;
        if (shutdown.scheduled)
                hl_shutdown_json_set(ctx->reply, "shutdown", &shutdown);
        else
                hl_json_set_string(ctx->reply, "message", "No shutdown scheduled");
        return 0;
}

static int cancel(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        struct hl_shutdown cancelled;
        int r = hl_shutdown_cancel(&service->bus, &cancelled, &ctx->err);
        if (r < 0)
                return or_advise(r, &ctx->err);
        hl_json_set_string(ctx->reply, "message", "Shutdown cancelled");
        hl_shutdown_json_set(ctx->reply, "cancelled_shutdown", &cancelled);
        return 0;
}

static int run_cancel(struct hl_context *ctx)
{
        int r = hl_context_read_body(ctx, NULL);
        return r < 0 ? r : cancel(ctx);
}

/* ---- the resource: one URL that shows and sets it, for a switch ---- */

static int run_get(struct hl_context *ctx)
{
        struct hl_shutdown shutdown;
        int r = get(ctx, &shutdown, &ctx->err);
        if (r < 0)
                return r;
        hl_json_set_bool(ctx->reply, "scheduled", shutdown.scheduled);
        hl_shutdown_json_set(ctx->reply, "shutdown", &shutdown);
        return 0;
}

static int cancel_if_any(struct hl_context *ctx)
{
        int r = cancel(ctx);
        if (r != -ENOENT || ctx->err.kind != HL_ERR_NOT_FOUND)
                return r;
        ctx->err = (struct hl_err){ 0 };
        hl_json_set_string(ctx->reply, "message", "No shutdown scheduled");
        hl_json_set(ctx->reply, "cancelled_shutdown", NULL);
        return 0;
}

static int run_set(struct hl_context *ctx)
{
        const struct hl_service *service = ctx->service;
        struct schedule_request wanted = { .minutes = NAN, .action = service->config.default_action };
        uint64_t at_us = 0;
        int r = read_schedule_request(ctx, &wanted, &at_us);
        if (r == 0)
                r = wanted.scheduled ? schedule(ctx, &wanted, at_us) : cancel_if_any(ctx);
        if (r == 0)
                hl_json_set_bool(ctx->reply, "scheduled", wanted.scheduled);
        return r;
}

static int run_status(struct hl_context *ctx)
{
        struct hl_shutdown shutdown;
        int r = get(ctx, &shutdown, &ctx->err);
        if (r < 0)
                return r;
        hl_json_set_bool(ctx->reply, "has_shutdown", shutdown.scheduled);
        hl_shutdown_json_set(ctx->reply, "next_shutdown", &shutdown);
        return 0;
}

static int run_system(struct hl_context *ctx)
{
        const struct hl_service *service = ctx->service;
        uint64_t up_us = hl_clock_boottime();
        int64_t up = (int64_t)(up_us / HL_USEC_PER_SEC);
        hl_json *uptime = hl_json_new(), *config = hl_json_new();
        char hostname[HOST_NAME_MAX + 1] = "";
        gethostname(hostname, sizeof(hostname) - 1); /* into that much room it cannot fail */
        hl_json_set_string(ctx->reply, "hostname", hostname);
        hl_json_set_int(uptime, "days", up / 86400);
        hl_json_set_int(uptime, "hours", up % 86400 / 3600);
        hl_json_set_int(uptime, "minutes", up % 3600 / 60);
        hl_json_set_int(uptime, "seconds", up % 60);
        hl_json_set_int(uptime, "total_seconds", up);
        hl_json_set(ctx->reply, "uptime", uptime);
        hl_json_set_time(ctx->reply, "boot_time", hl_clock_realtime() - up_us);
        hl_json_set_decimal(config, "default_minutes", service->config.default_minutes, 2);
        hl_json_set_string(config, "default_action", service->config.default_action);
        hl_json_set(ctx->reply, "service_config", config);
        return 0;
}

static int run_health(struct hl_context *ctx)
{
        struct hl_err err = { 0 };
        struct hl_shutdown shutdown;
        int r = get(ctx, &shutdown, &err);
        hl_service_health_note(ctx, "logind", r, &err);
        hl_service_health_socket(ctx, "socket", "shutdown-service-fastcgi.socket");
        return hl_service_health(ctx);
}

#define EITHER .either = { "minutes", "at" }

static const struct hl_route table[] = {
        { HL_GET, "/shutdown", run_get, HL_SCOPE_READ, NULL, "Whether a shutdown is scheduled, and which",
          .reply = shutdown_reply_get, .errors = shutdown_errors_look },
        { HL_POST, "/shutdown", run_set, HL_SCOPE_POWER, NULL,
          "Set that: scheduled, true or false; with true what /shutdown/schedule takes",
          HL_ROUTE_RESOURCE | HL_ROUTE_ANY_TYPE, HL_BODY(schedule_body), EITHER, .reply = shutdown_reply_set,
          .errors = shutdown_errors_change },
        { HL_POST, "/shutdown/schedule", run_schedule, HL_SCOPE_POWER, NULL,
          "Schedule a shutdown: minutes or at; action, message, replace", .body = schedule_body,
          .body_count = HL_COUNT(schedule_body) - 1, EITHER, .reply = shutdown_reply_schedule,
          .errors = shutdown_errors_change },
        { HL_GET, "/shutdown/next", run_next, HL_SCOPE_READ, NULL, "The next scheduled shutdown",
          .reply = shutdown_reply_next, .errors = shutdown_errors_look },
        { HL_POST, "/shutdown/cancel", run_cancel, HL_SCOPE_POWER, NULL, "Cancel the scheduled shutdown",
          .reply = shutdown_reply_cancel, .errors = shutdown_errors_cancel },
        { HL_GET, "/shutdown/status", run_status, HL_SCOPE_READ, NULL, "Whether a shutdown is scheduled",
          .reply = shutdown_reply_status, .errors = shutdown_errors_look },
        { HL_GET, "/shutdown/system", run_system, HL_SCOPE_READ, NULL,
          "The host's name, uptime, boot time and this service's configuration", .reply = shutdown_reply_system },
        { HL_GET, "/health", run_health, HL_SCOPE_READ, NULL, "Whether this service can do its work",
          .reply = shutdown_reply_health, .errors = hl_service_health_errors },
};

int main(int argc, char **argv)
{
        static const struct hl_routes routes = { "shutdown-service", "Shutdown Service", table,
                                                 HL_COUNT(table),    "/api/shutdown",    NULL };
        return hl_service_main(&routes, argc, argv);
}
