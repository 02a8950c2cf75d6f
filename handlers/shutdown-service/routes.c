/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "service/service.h"

static const struct hl_reply_field shutdown_fields[] = {
        { "scheduled_time", HL_REPLY_TIME, "When the host shuts down" },
        { "minutes_from_now", HL_REPLY_NUMBER, "Until then" },
        { "created_at", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When it was scheduled, or taken up again by logind" },
        { "action", HL_REPLY_STRING, "What the host does then: for ours poweroff, reboot or halt" },
        { "remaining_seconds", HL_REPLY_INTEGER, "Until then" },
        { "source", HL_REPLY_STRING, "Who scheduled it", .choices = "api,external" },
        { "message", HL_REPLY_STRING | HL_REPLY_NULLABLE, "What users who are logged in are told" },
        { 0 },
};
static const struct hl_schema shutdown = { "Shutdown", shutdown_fields };

#define SHUTDOWN(key, about)                                                                                           \
        {                                                                                                              \
                key, HL_REPLY_OBJECT | HL_REPLY_NULLABLE, about, .schema = &shutdown                                   \
        }
#define SHUTDOWN_OR_NONE(key, about)                                                                                   \
        {                                                                                                              \
                key, HL_REPLY_OBJECT | HL_REPLY_OPTIONAL, about, .schema = &shutdown                                   \
        }

const struct hl_reply_field shutdown_reply_get[] = {
        { "scheduled", HL_REPLY_BOOL, "Whether a shutdown is scheduled" },
        SHUTDOWN("shutdown", "Which"),
        { 0 },
};

const struct hl_reply_field shutdown_reply_set[] = {
        { "message", HL_REPLY_STRING, "What was done" },
        { "scheduled", HL_REPLY_BOOL, "As it was asked for" },
        SHUTDOWN_OR_NONE("shutdown", "The new one"),
        SHUTDOWN_OR_NONE("replaced", "The one before it"),
        { "cancelled_shutdown", HL_REPLY_OBJECT | HL_REPLY_NULLABLE | HL_REPLY_OPTIONAL, "The one that was cancelled",
          .schema = &shutdown },
        { 0 },
};

const struct hl_reply_field shutdown_reply_schedule[] = {
        { "message", HL_REPLY_STRING, "What was done" },
        SHUTDOWN("shutdown", "The new one"),
        SHUTDOWN_OR_NONE("replaced", "The one before it"),
        { 0 },
};

const struct hl_reply_field shutdown_reply_next[] = {
        SHUTDOWN_OR_NONE("shutdown", "The next one"),
        { "message", HL_REPLY_STRING | HL_REPLY_OPTIONAL, "That there is none" },
        { 0 },
};

const struct hl_reply_field shutdown_reply_cancel[] = {
        { "message", HL_REPLY_STRING, "What was done" },
        SHUTDOWN("cancelled_shutdown", "The one that was cancelled"),
        { 0 },
};

const struct hl_reply_field shutdown_reply_status[] = {
        { "has_shutdown", HL_REPLY_BOOL, "Whether a shutdown is scheduled" },
        SHUTDOWN("next_shutdown", "Which"),
        { 0 },
};

static const struct hl_reply_field uptime_fields[] = {
        { "days", HL_REPLY_INTEGER, "Whole days" },         { "hours", HL_REPLY_INTEGER, "0 to 23" },
        { "minutes", HL_REPLY_INTEGER, "0 to 59" },         { "seconds", HL_REPLY_INTEGER, "0 to 59" },
        { "total_seconds", HL_REPLY_INTEGER, "All of it" }, { 0 },
};
static const struct hl_schema uptime = { "Uptime", uptime_fields };

static const struct hl_reply_field config_fields[] = {
        { "default_minutes", HL_REPLY_NUMBER, "How far ahead a shutdown is that says no time" },
        { "default_action", HL_REPLY_STRING, "What it does", .choices = "poweroff,reboot,halt" },
        { 0 },
};
static const struct hl_schema config = { "ServiceConfig", config_fields };

const struct hl_reply_field shutdown_reply_system[] = {
        { "hostname", HL_REPLY_STRING, "The host's name" },
        { "uptime", HL_REPLY_OBJECT, "Since it booted", .schema = &uptime },
        { "boot_time", HL_REPLY_TIME, "When it booted" },
        { "service_config", HL_REPLY_OBJECT, "Of this service", .schema = &config },
        { 0 },
};

const struct hl_reply_field shutdown_reply_health[] = {
        { "logind", HL_REPLY_STRING, "Whether it answers: \"ok\"" },
        { "socket", HL_REPLY_STRING, "Whether NGINX finds this service: \"ok\"" },
        { 0 },
};

const struct hl_route_error shutdown_errors_look[] = { HL_ERRORS_OF_THE_BUS, { 0 } };

const struct hl_route_error shutdown_errors_change[] = {
        { 400, "not_in_the_future" },   { 403, "refused_by_policy" }, { 404, "no_shutdown" },
        { 409, "scheduled_by_others" }, HL_ERRORS_OF_THE_BUS,         { 0 },
};

const struct hl_route_error shutdown_errors_cancel[] = {
        { 403, "refused_by_policy" },
        { 404, "no_shutdown" },
        HL_ERRORS_OF_THE_BUS,
        { 0 },
};
