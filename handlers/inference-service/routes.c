/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "service/service.h"

const struct hl_body_field inference_load_body[1] = {
        { { "model", HL_JSON_STRING, NULL, "any name of a model" },
          0,
          "send {\"model\": \"NAME\"}: GET /models lists those that are" },
};

const struct hl_parameter inference_openai_query[] = {
        { "limit", "At most so many models" },
        { "after_id", "Those behind this id" },
        { "after", "The same, as OpenAI calls it" },
        { "before_id", "Those before this id" },
        { 0 },
};

/* ---- a model as other APIs list it ---- */

static const struct hl_reply_field status_fields[] = {
        { "value", HL_REPLY_STRING, "What the model is", .choices = "unloaded,loading,loaded" },
        { "failed", HL_REPLY_BOOL | HL_REPLY_OPTIONAL, "true where it failed" },
        { "exit_code", HL_REPLY_INTEGER | HL_REPLY_OPTIONAL, "Of one that failed" },
        { 0 },
};
static const struct hl_schema status = { "OpenAIModelStatus", status_fields };

const struct hl_reply_field inference_openai_model_fields[] = {
        { "id", HL_REPLY_STRING, "A name of the model" },
        { "object", HL_REPLY_STRING, "\"model\"", .choices = "model" },
        { "created", HL_REPLY_INTEGER, "When its file was written, in seconds of Unix" },
        { "owned_by", HL_REPLY_STRING, "\"home-lab-services\"" },
        { "type", HL_REPLY_STRING, "\"model\"", .choices = "model" },
        { "display_name", HL_REPLY_STRING, "The id" },
        { "created_at", HL_REPLY_TIME, "When its file was written" },
        { "alias_of", HL_REPLY_STRING | HL_REPLY_OPTIONAL, "The model, where the id is another name of it" },
        { "aliases", HL_REPLY_STRING | HL_REPLY_ARRAY | HL_REPLY_OPTIONAL, "Its other names, where the id is its own" },
        { "status", HL_REPLY_OBJECT, "As llama.cpp's router has it", .schema = &status },
        { 0 },
};
static const struct hl_schema openai_model = { "OpenAIModel", inference_openai_model_fields };

const struct hl_reply_field inference_reply_openai_models[] = {
        { "object", HL_REPLY_STRING, "\"list\"", .choices = "list" },
        { "has_more", HL_REPLY_BOOL, "Whether there are others, further on" },
        { "first_id", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Of this page" },
        { "last_id", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Of this page" },
        { "data", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "One for each name", .schema = &openai_model },
        { 0 },
};

/* ---- models ---- */

#define FILE_ERROR                                                                                                     \
        {                                                                                                              \
                "file_error", HL_REPLY_STRING | HL_REPLY_OPTIONAL, "Why its file cannot be read"                       \
        }
#define PORT                                                                                                           \
        {                                                                                                              \
                "port", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Where it is asked"                                      \
        }
#define FILE_PATH                                                                                                      \
        {                                                                                                              \
                "file_path", HL_REPLY_STRING, "Its file"                                                               \
        }
#define UNIT                                                                                                           \
        {                                                                                                              \
                "unit", HL_REPLY_STRING, "Its unit"                                                                    \
        }
#define NAME                                                                                                           \
        {                                                                                                              \
                "model_name", HL_REPLY_STRING, "Its name"                                                              \
        }
#define MESSAGE                                                                                                        \
        {                                                                                                              \
                "message", HL_REPLY_STRING, "What was done"                                                            \
        }

#define TERMS                                                                                                          \
        { "paused_until", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When requests for it go on" },                           \
        {                                                                                                              \
                "kept_until", HL_REPLY_TIME | HL_REPLY_NULLABLE, "Before that it is not stopped for being idle"        \
        }

static const struct hl_reply_field listed_fields[] = { NAME, FILE_PATH, PORT, UNIT, FILE_ERROR, { 0 } };
static const struct hl_schema listed = { "Model", listed_fields };

const struct hl_reply_field inference_reply_models[] = {
        { "models", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "All models", .schema = &listed },
        { "object", HL_REPLY_STRING | HL_REPLY_OPTIONAL, "\"list\", for llama.cpp's clients", .choices = "list" },
        { "data", HL_REPLY_OBJECT | HL_REPLY_ARRAY | HL_REPLY_OPTIONAL, "The same for llama.cpp's clients",
          .schema = &openai_model },
        { 0 },
};

const struct hl_reply_field inference_reply_running[] = {
        { "running_models", HL_REPLY_STRING | HL_REPLY_ARRAY, "Names of models" },
        { 0 },
};

const struct hl_reply_field inference_reply_model[] = {
        NAME,
        { "running", HL_REPLY_BOOL, "Whether it runs or is starting" },
        { "state", HL_REPLY_STRING, "What it is", .choices = "unloaded,loading,loaded,failed" },
        { "cause", HL_REPLY_STRING | HL_REPLY_NULLABLE, "Why it failed or is not ready" },
        { "since", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When its unit's state last changed" },
        UNIT,
        FILE_PATH,
        PORT,
        { "pid", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Its main process" },
        { "memory_bytes", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Its memory, with its page cache" },
        { "cpu_seconds", HL_REPLY_NUMBER | HL_REPLY_NULLABLE, "CPU time since it was started" },
        { "restarts", HL_REPLY_INTEGER, "How often systemd restarted it by itself" },
        { "last_result", HL_REPLY_STRING | HL_REPLY_NULLABLE, "As systemd says it" },
        { "last_exit_status", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Of the main process that ended last" },
        { "last_activity", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When it was used last" },
        { "in_flight", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "Requests that the kernel sees on its port" },
        { "load_seconds", HL_REPLY_NUMBER | HL_REPLY_NULLABLE, "How long its last cold start took until it was ready" },
        TERMS,
        FILE_ERROR,
        { 0 },
};

const struct hl_reply_field inference_reply_change[] = { NAME, MESSAGE, { 0 } };

const struct hl_reply_field inference_reply_set[] = {
        NAME,
        MESSAGE,
        { "running", HL_REPLY_BOOL, "As it was asked for" },
        { 0 },
};

const struct hl_reply_field inference_reply_load[] = {
        NAME,
        MESSAGE,
        { "success", HL_REPLY_BOOL, "For llama.cpp's clients" },
        { 0 },
};

const struct hl_reply_field inference_reply_stop[] = {
        NAME,
        MESSAGE,
        { "cut_requests", HL_REPLY_INTEGER | HL_REPLY_OPTIONAL, "With drain: how many had not finished" },
        { 0 },
};

const struct hl_reply_field inference_reply_term[] = { NAME, MESSAGE, TERMS, { 0 } };

static const struct hl_reply_field line_fields[] = {
        { "time", HL_REPLY_TIME, "When it was logged" },
        { "priority", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "0 to 7, as syslog has it" },
        { "message", HL_REPLY_STRING, "The line" },
        { 0 },
};
static const struct hl_schema line = { "LogLine", line_fields };

const struct hl_reply_field inference_reply_logs[] = {
        NAME,
        UNIT,
        { "lines", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "Oldest first", .schema = &line },
        { 0 },
};

const struct hl_reply_field inference_reply_health[] = {
        { "models_dir", HL_REPLY_STRING, "Whether the folder of models can be read: \"ok\"" },
        { "systemd", HL_REPLY_STRING, "Whether it answers: \"ok\"" },
        { "polkit", HL_REPLY_STRING, "Whether it answers: \"ok\"" },
        { "socket", HL_REPLY_STRING, "Whether NGINX finds this service: \"ok\"" },
        { "router_socket", HL_REPLY_STRING, "Whether NGINX finds model-router: \"ok\"" },
        { 0 },
};

static const struct hl_reply_field resource_fields[] = {
        { "resource", HL_REPLY_STRING, "\"gpu 0\" or \"memory\"" },
        { "capacity_bytes", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "What the configuration says there is" },
        { "claimed_bytes", HL_REPLY_INTEGER, "What those models need of it that hold theirs" },
        { "free_bytes", HL_REPLY_INTEGER | HL_REPLY_NULLABLE, "The difference" },
        { 0 },
};
static const struct hl_schema resource = { "Resource", resource_fields };

static const struct hl_reply_field claim_fields[] = {
        { "resource", HL_REPLY_STRING, "\"gpu 0\" or \"memory\"" },
        { "bytes", HL_REPLY_INTEGER, "What the model needs of it" },
        { 0 },
};
static const struct hl_schema claim = { "Claim", claim_fields };

static const struct hl_reply_field used_fields[] = {
        { "resource", HL_REPLY_STRING, "\"gpu 0\" or \"memory\"" },
        { "bytes", HL_REPLY_INTEGER, "What the model used of it" },
        { 0 },
};
static const struct hl_schema used = { "Used", used_fields };

static const struct hl_reply_field need_fields[] = {
        NAME,
        { "claims", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "What its file says that it needs", .schema = &claim },
        { "groups", HL_REPLY_STRING | HL_REPLY_ARRAY, "Of each one model runs at a time" },
        { "keep", HL_REPLY_BOOL, "It makes no room for others" },
        { "holds_as", HL_REPLY_STRING | HL_REPLY_NULLABLE, "null: it holds nothing",
          .choices = "starting,running,stopping" },
        { "holds_since", HL_REPLY_TIME | HL_REPLY_NULLABLE, "When its start began" },
        { "measured", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "What it used at most, when it was measured", .schema = &used },
        { "measured_at", HL_REPLY_TIME | HL_REPLY_NULLABLE, "null: it never was" },
        { "in_use", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "What the kernel says that it uses now", .schema = &used },
        { "fits", HL_REPLY_STRING, "Whether it fits beside the others that hold theirs", .choices = "now,later,never" },
        { "explanation", HL_REPLY_STRING | HL_REPLY_NULLABLE, "The numbers" },
        { 0 },
};
static const struct hl_schema need = { "Need", need_fields };

static const struct hl_reply_field waiting_fields[] = {
        NAME,
        { "waits_since", HL_REPLY_TIME, "When the start was asked for" },
        { 0 },
};
static const struct hl_schema waiting = { "Waiting", waiting_fields };

const struct hl_reply_field inference_reply_capacity[] = {
        { "limited", HL_REPLY_BOOL, "Whether the configuration says what there is" },
        { "min_residency_seconds", HL_REPLY_NUMBER, "A model that was loaded is not evicted before" },
        { "queue_seconds", HL_REPLY_NUMBER, "How long a request waits for room" },
        { "resources", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "What there is and what is claimed", .schema = &resource },
        { "models", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "Those that need something", .schema = &need },
        { "waiting", HL_REPLY_OBJECT | HL_REPLY_ARRAY, "Starts that wait for room, the first come first",
          .schema = &waiting },
        { 0 },
};

/* ---- errors ---- */

#define OF_A_CHANGE { 409, "job_canceled" }, { 503, "too_many_waiters" }, { 504, "still_working" }, HL_ERRORS_OF_THE_BUS

const struct hl_route_error inference_errors_list[] = { HL_ERRORS_OF_MODELS, HL_ERRORS_OF_THE_BUS, { 0 } };
const struct hl_route_error inference_errors_model[] = { HL_ERRORS_OF_A_MODEL, HL_ERRORS_OF_THE_BUS, { 0 } };
const struct hl_route_error inference_errors_logs[] = { HL_ERRORS_OF_A_MODEL, { 503, "too_many_followers" }, { 0 } };
const struct hl_route_error inference_errors_openai_model[] = {
        { 404, "model_not_found" },
        HL_ERRORS_OF_MODELS,
        HL_ERRORS_OF_THE_BUS,
        { 0 },
};

const struct hl_route_error inference_errors_start[] = {
        HL_ERRORS_OF_A_MODEL,
        { 409, "model_does_not_fit" },
        { 409, "model_file_unreadable" },
        { 409, "model_without_port" },
        { 409, "port_in_use" },
        { 502, "start_failed" },
        { 502, "stop_failed" },
        { 502, "wrong_port" },
        { 503, "model_paused" },
        { 503, "no_capacity" },
        { 504, "not_ready" },
        OF_A_CHANGE,
        { 0 },
};

const struct hl_route_error inference_errors_term[] = { HL_ERRORS_OF_A_MODEL, { 0 } };

const struct hl_route_error inference_errors_stop[] = {
        HL_ERRORS_OF_A_MODEL,
        { 502, "stop_failed" },
        OF_A_CHANGE,
        { 0 },
};
