/* SPDX-License-Identifier: MIT */
#include "routes.h"

const struct hl_reply_field monitor_reply_active[] = {
        { "timestamp", HL_REPLY_TIME, "When this was looked at" },
        { "active_models", HL_REPLY_STRING | HL_REPLY_ARRAY, "Names of models" },
        { 0 },
};

const struct hl_reply_field monitor_reply_idle[] = {
        { "timestamp", HL_REPLY_TIME, "When this was looked at" },
        { "idle_models", HL_REPLY_STRING | HL_REPLY_ARRAY, "Names of models" },
        { 0 },
};

static const struct hl_reply_field sources_fields[] = {
        { "report", HL_REPLY_TIME | HL_REPLY_NULLABLE, "The last report of NGINX or a client" },
        { "traffic", HL_REPLY_TIME | HL_REPLY_NULLABLE, "The last byte on the model's port, by the kernel" },
        { "start", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When the model was started" },
        { 0 },
};
static const struct hl_schema sources = { "ActivitySources", sources_fields };

static const struct hl_reply_field activity_fields[] = {
        { "last_activity", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When the model was used last" },
        { "is_active", HL_REPLY_BOOL, "Used within active_threshold_minutes" },
        { "is_idle", HL_REPLY_BOOL, "Unused for longer than its idle timeout" },
        { "idle_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "For how long it is unused" },
        { "threshold_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Its idle timeout; null: never" },
        { "reason", HL_REPLY_STRING, "As GET /models/{model}/why has it" },
        { "kept_until", HL_REPLY_TIME | HL_REPLY_NULLABLE, "Before that it is not stopped for being idle" },
        { "in_flight", HL_REPLY_INTEGER, "Requests that it works on" },
        { "sources", HL_REPLY_OBJECT, "Where the last use is known from", .schema = &sources },
        { 0 },
};
static const struct hl_schema activity = { "Activity", activity_fields };

const struct hl_reply_field monitor_reply_activity[] = {
        { "timestamp", HL_REPLY_TIME, "When this was looked at" },
        { "activity_status", HL_REPLY_OBJECT | HL_REPLY_BY_NAME, "Of each model", .schema = &activity },
        { 0 },
};

static const struct hl_reply_field decision_fields[] = {
        { "time", HL_REPLY_TIME, "When it was made" },
        { "model_name", HL_REPLY_STRING | HL_REPLY_NULLABLE, "About which model; null: about the host" },
        { "decision", HL_REPLY_STRING | HL_REPLY_NULLABLE, "What was decided" },
        { "reason", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Why, in a word" },
        { "message", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Why, in a sentence" },
        { "idle_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "For how long the model was unused" },
        { "threshold_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Its idle timeout" },
        { "in_flight", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Requests that it worked on" },
        { 0 },
};
static const struct hl_schema decision = { "Decision", decision_fields };

static const struct hl_reply_field start_fields[] = {
        { "fits", HL_REPLY_STRING, "Whether it fits beside the others that run", .choices = "now,later,never" },
        { "explanation", HL_REPLY_STRING | HL_REPLY_NULLABLE, "The numbers" },
        { 0 },
};
static const struct hl_schema start = { "Start", start_fields };

const struct hl_reply_field monitor_reply_why[] = {
        { "model_name", HL_REPLY_STRING, "The model" },
        { "state", HL_REPLY_STRING, "What it is", .choices = "unloaded,loading,loaded,failed" },
        { "cause", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Why it failed or is not ready" },
        { "decision", HL_REPLY_STRING, "What the sweep would do now", .choices = "stop,keep" },
        { "reason", HL_REPLY_STRING, "Why, in a word" },
        { "explanation", HL_REPLY_STRING, "Why, in a sentence" },
        { "idle_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "For how long it is unused" },
        { "threshold_seconds", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Its idle timeout; null: never" },
        { "in_flight", HL_REPLY_INTEGER, "Requests that it works on" },
        { "paused_until", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When requests for it go on" },
        { "kept_until", HL_REPLY_TIME | HL_REPLY_NULLABLE, "Before that it is not stopped for being idle" },
        { "stops_at", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When it is stopped if nobody uses it" },
        { "start", HL_REPLY_OBJECT, "What a start of it would do now", .schema = &start },
        { "decisions", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "The sweep's last ones", .schema = &decision },
        { 0 },
};

static const struct hl_reply_field run_fields[] = {
        { "started", HL_REPLY_TIME | HL_REPLY_NULLABLE, "Its start; null: before the first of these hours" },
        { "ended", HL_REPLY_TIME | HL_REPLY_NULLABLE, "Its end; null: it goes on" },
        { "result", HL_REPLY_STRING | HL_REPLY_NULLABLE, "As systemd says it; null: nobody has seen an end" },
        { 0 },
};
static const struct hl_schema run = { "Run", run_fields };

const struct hl_reply_field monitor_reply_history[] = {
        { "model_name", HL_REPLY_STRING, "The model" },
        { "from", HL_REPLY_TIME, "The first of these hours" },
        { "to", HL_REPLY_TIME, "Now" },
        { "runs", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "Oldest first", .schema = &run },
        { "complete", HL_REPLY_BOOL, "false: there were too many to tell" },
        { 0 },
};

const struct hl_reply_field monitor_reply_report[] = {
        { "message", HL_REPLY_STRING, "What was done" },
        { "model_name", HL_REPLY_STRING, "The model" },
        { "last_activity", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When it was used last: now" },
        { 0 },
};

const struct hl_reply_field monitor_reply_health[] = {
        { "activity_dir", HL_REPLY_STRING, "Whether the folder of activity can be written: \"ok\"" },
        { "systemd", HL_REPLY_STRING, "Whether it answers: \"ok\"" },
        { "sweep_timer", HL_REPLY_STRING, "Whether the sweep's timer goes on: \"ok\"" },
        { "socket", HL_REPLY_STRING, "Whether NGINX finds this service: \"ok\"" },
        { "activity_socket", HL_REPLY_STRING, "Whether NGINX finds model-activity: \"ok\"" },
        { 0 },
};

const struct hl_route_error monitor_errors_all[] = { HL_ERRORS_OF_MODELS, HL_ERRORS_OF_THE_BUS, { 0 } };
const struct hl_route_error monitor_errors_why[] = { HL_ERRORS_OF_A_MODEL, HL_ERRORS_OF_THE_BUS, { 0 } };
const struct hl_route_error monitor_errors_events[] = {
        HL_ERRORS_OF_MODELS, HL_ERRORS_OF_THE_BUS, { 503, "too_many_followers" }, { 0 }
};
const struct hl_route_error monitor_errors_report[] = { HL_ERRORS_OF_A_MODEL, { 0 } };
