/* SPDX-License-Identifier: MIT */
#include "looks.h"

#include "answers.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/openai_list.h"
#include "models/turnstile.h"
#include "systemd/units.h"

#include <errno.h>
#include <string.h>

/* What servers of models tell without working, and what browsers ask for by themselves: llama.cpp, vLLM, SGLang, TGI,
 * Ollama, TabbyAPI, ComfyUI, KoboldCpp, LocalAI, LM Studio, AUTOMATIC1111, Triton, NIM and text-generation-webui. One
 * that ends with "/" is all below it. */
static const char *const looks[] = {
        /* health */
        "health", "health/", "healthz", "livez", "readyz", "ping", "internal/ping", "is_sleeping", "v1/health",
        "v1/health/", "api/health", "v2/health/", "v2",
        /* what it is, and how it does */
        "metrics", "version", "props", "slots", "slots/", "load", "info", "server_info", "get_server_info",
        "model_info", "get_model_info", "lora-adapters", "v1/version", "v1/metadata", "v1/metrics", ".well-known/",
        "favicon.ico", "robots.txt",
        /* Ollama */
        "api/tags", "api/version", "api/ps",
        /* TabbyAPI */
        "v1/model", "v1/model/list", "v1/model/draft/list", "v1/model/embedding/list", "v1/lora", "v1/lora/list",
        "v1/loras", "v1/template/list", "v1/templates", "v1/sampling/overrides", "v1/sampling/override/list",
        "v1/auth/permission",
        /* ComfyUI; its own page asks below "api", too */
        "system_stats", "queue", "prompt", "history", "history/", "object_info", "object_info/", "extensions",
        "embeddings", "features", "api/system_stats", "api/queue", "api/prompt", "api/history", "api/history/",
        "api/object_info", "api/object_info/", "api/extensions", "api/embeddings", "api/features", "api/models",
        "api/models/",
        /* KoboldCpp, LM Studio, AUTOMATIC1111 */
        "api/v1/model", "api/v1/info/version", "api/v1/config/", "api/extra/version", "api/extra/perf",
        "api/extra/true_max_context_length", "api/v0/models", "api/v0/models/", "api/v1/models", "sdapi/v1/options",
        "sdapi/v1/progress", "sdapi/v1/sd-models", "sdapi/v1/samplers",
        /* text-generation-webui */
        "v1/internal/health-check", "v1/internal/model/info", "v1/internal/model/list"
};

/* The path as the model gets it, without its first slash. */
static const char *model_path(const struct hl_router_request *request)
{
        const char *path = request->http.path + 1;
        size_t first = strcspn(path, "/");
        bool is_own = first == 2 && strncmp(path, "v1", 2) == 0; /* no model's name is there */
        return is_own || !path[first] ? path : path + first + 1;
}

static bool is_listed(const char *path, size_t len)
{
        for (size_t i = 0; i < HL_COUNT(looks); i++) {
                size_t look = strlen(looks[i]);
                bool is_below = looks[i][look - 1] == '/' && len > look;
                if ((is_below || len == look) && strncmp(path, looks[i], look) == 0)
                        return true;
        }
        return false;
}

enum hl_router_look hl_router_look(const struct hl_router_request *request, const char **ret_rest)
{
        const char *path = model_path(request);
        size_t len = strlen(path);
        len -= len > 0 && path[len - 1] == '/';
        if (request->http.method == HL_OPTIONS)
                return HL_ROUTER_LOOK;
        if (request->http.method != HL_GET && request->http.method != HL_HEAD)
                return HL_ROUTER_NO_LOOK;
        const char *list = hl_has_prefix(path, "v1/") ? path + 3 : path;
        if (hl_has_prefix(list, "models/") && list[7]) {
                *ret_rest = list + 7;
                return HL_ROUTER_LOOK_ENTRY;
        }
        if (strcmp(list, "models") == 0 || strcmp(list, "models/") == 0)
                return HL_ROUTER_LOOK_LIST;
        return is_listed(path, len) || request->http.method == HL_HEAD ? HL_ROUTER_LOOK : HL_ROUTER_NO_LOOK;
}

static hl_json *entry_of(const struct hl_model *model, const char *id)
{
        return hl_openai_model(model, id, hl_unit_start_hint(model->unit) ? "loading" : "unloaded");
}

static void answer_list(struct hl_router_request *request, const struct hl_model *model)
{
        struct hl_response response = { 0 };
        hl_json *data = hl_json_new_array();
        hl_json_push(data, entry_of(model, model->name));
        for (char **alias = model->aliases; alias && *alias; alias++)
                hl_json_push(data, entry_of(model, *alias));
        hl_response_json(&response, 200, hl_openai_list(data));
        hl_router_answer(request, &response);
}

static bool goes_by(const struct hl_model *model, const char *name)
{
        bool found = strcmp(model->name, name) == 0;
        for (char **alias = model->aliases; alias && *alias && !found; alias++)
                found = strcmp(*alias, name) == 0;
        return found;
}

static void answer_entry(struct hl_router_request *request, const struct hl_model *model, const char *encoded)
{
        struct hl_response response = { 0 };
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_free_pointer) char *id = NULL;
        if (hl_percent_decode(encoded, strlen(encoded), &id) == 0 && goes_by(model, id)) {
                hl_response_json(&response, 200, entry_of(model, id));
                hl_router_answer(request, &response);
                return;
        }
        hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "model_not_found",
                "%s has no model of that name: GET /v1/models lists all", model->name);
        hl_router_refuse(request, &err);
}

/* Who only looks at a model, a monitor above all, starts none; and what it is called is known without it. */
void hl_router_answer_look(struct hl_router_request *request, const struct hl_model *model, enum hl_router_look look,
                           const char *rest)
{
        struct hl_err err = { 0 };
        if (look == HL_ROUTER_LOOK_LIST) {
                answer_list(request, model);
        } else if (look == HL_ROUTER_LOOK_ENTRY) {
                answer_entry(request, model, rest);
        } else if (hl_unit_start_hint(model->unit) > 0 && hl_turnstile_is_up(model->name)) {
                hl_fail(&err, HL_ERR_BUSY, EAGAIN, "model_paused", "%s is paused, or is about to be stopped",
                        model->name);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else {
                hl_fail(&err, HL_ERR_BUSY, EAGAIN, "model_not_loaded",
                        "%s is not loaded, and is not started for a look at it", model->name);
                hl_router_refuse_unavailable(request, model->name, &err);
        }
}
