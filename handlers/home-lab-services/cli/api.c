/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "home-lab-services/product.h"
#include "nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HERE "127.0.0.1"
#define ANSWER_MAX (32 * 1024 * 1024) /* bytes: ten thousand long lines of a log */
#define MODELS_MAX 1000               /* that are looked at for "did you mean" */

static const struct {
        const char *name, *below_site;
} services[] = {
        [CLI_INFERENCE] = { "inference-service", "/api/inference" },
        [CLI_MONITOR] = { "model-monitor-service", "/api/monitor" },
};

/* Whoever names one of a host's services means its services. */
static bool is_service_port(const char *port)
{
        uint64_t number = 0;
        return hl_parse_uint(port, UINT16_MAX, &number) == 0 && hl_product_socket_of((uint16_t)number);
}

/* "box", "192.168.1.10", "::1", "http://box:5002": the services' own ports. "box:8080", "https://box/": NGINX's
 * site. */
static void set_bases(struct cli_api *api, const char *host)
{
        const char *colon = strchr(host, ':');
        bool has_scheme = strstr(host, "://"),
             is_bare_v6 = !has_scheme && colon && strchr(colon + 1, ':') && *host != '[';
        HL_CLEANUP(hl_free_pointer)
        char *url =
                hl_format("%s%s%s%s", has_scheme ? "" : "http://", is_bare_v6 ? "[" : "", host, is_bare_v6 ? "]" : "");
        for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
                url[len - 1] = '\0';
        char *authority = strstr(url, "://") + 3, *bracket = strrchr(authority, ']');
        char *port = strrchr(bracket ? bracket : authority, ':');
        bool is_site = strchr(authority, '/') || (port ? !is_service_port(port + 1) : has_scheme);
        if (!is_site && port)
                *port = '\0';
        for (size_t i = 0; i < HL_COUNT(services); i++)
                api->bases[i] = is_site ? hl_format("%s%s", url, services[i].below_site)
                                        : hl_format("%s:%u", url, hl_product_port_of(services[i].name));
}

int cli_api_open(const struct cli *cli, struct cli_api *ret_api, struct hl_err *err)
{
        const char *host = cli->host ? cli->host : getenv("HOME_LAB_SERVICES_URL"),
                   *token = getenv("HOME_LAB_SERVICES_TOKEN");
        *ret_api = (struct cli_api){ .answer.body.max = ANSWER_MAX };
        ret_api->is_local = !host || !*host;
        ret_api->token = token && *token ? token : NULL;
        set_bases(ret_api, ret_api->is_local ? HERE : host);
        return hl_http_client_open(&ret_api->client, err);
}

void cli_api_close(struct cli_api *api)
{
        hl_http_client_free(api->client);
        for (size_t i = 0; i < HL_COUNT(services); i++)
                free(api->bases[i]);
        hl_buf_free(&api->answer.body);
}

static enum hl_err_kind kind_of(int status)
{
        switch (status) {
        case 401:
        case 403:
                return HL_ERR_FORBIDDEN;
        case 404:
                return HL_ERR_NOT_FOUND;
        case 409:
                return HL_ERR_CONFLICT;
        case 408:
        case 429:
        case 503:
                return HL_ERR_BUSY;
        case 502:
                return HL_ERR_UPSTREAM;
        case 504:
                return HL_ERR_TIMEOUT;
        default:
                return status < 500 ? HL_ERR_INVALID : HL_ERR_INTERNAL;
        }
}

/* What the service says against it, in its own words. */
static int refused(const struct cli_api *api, const struct cli_call *call, const hl_json *json, struct hl_err *err)
{
        const char *message = hl_json_get_string(json, "message"), *code = hl_json_get_string(json, "code"),
                   *cause = hl_json_get_string(json, "cause");
        if (!message || !code || strcmp(code, "unknown_route") == 0)
                return hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "other_service",
                               "%s answers, but not as this version of %s does (status %d): is it another program, or "
                               "another version?",
                               api->bases[call->service], services[call->service].name, api->answer.status);
        enum hl_err_kind kind = kind_of(api->answer.status);
        bool wants_token = kind == HL_ERR_FORBIDDEN && !api->token;
        return hl_fail(err, kind, kind == HL_ERR_FORBIDDEN ? EACCES : EREMOTEIO,
                       strcmp(code, "model_not_found") == 0 ? "model_not_found" : "refused", "%s%s%s%s", message,
                       cause && !strstr(message, cause) ? ": " : "", cause && !strstr(message, cause) ? cause : "",
                       wants_token ? " (this program sends the token that HOME_LAB_SERVICES_TOKEN holds)" : "");
}

static int unreachable(const struct cli_api *api, const struct cli_call *call, const struct hl_err *why,
                       struct hl_err *err)
{
        const char *name = services[call->service].name;
        if (api->is_local)
                return hl_fail(err, why->kind, why->errnum, why->code,
                               "%s does not answer at %s: \"sudo systemctl start %s\" opens its port, \"sudo "
                               "home-lab-services check\" says what is wrong",
                               name, api->bases[call->service], name);
        return hl_fail(err, why->kind, why->errnum, why->code, "%s: is that host on, and open to this one?",
                       why->message);
}

int cli_api_ask(struct cli_api *api, const struct cli_call *call, hl_json **ret_json, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = call->path;
        HL_CLEANUP(hl_free_pointer) char *url = hl_format("%s%s", api->bases[call->service], path);
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        bool posts = strcmp(call->method, "POST") == 0;
        const struct hl_http_client_request request = { .method = call->method,
                                                        .url = url,
                                                        .token = api->token,
                                                        .content_type = posts ? "application/json" : NULL,
                                                        .body = posts ? "{}" : NULL,
                                                        .body_len = posts ? 2 : 0,
                                                        .deadline_us = hl_clock_monotonic() + call->wait_us,
                                                        .take = call->take,
                                                        .tick = call->tick,
                                                        .data = call->data };
        struct hl_err why = { 0 }, ignored = { 0 };
        int r = hl_http_client_ask(api->client, &request, &api->answer, &why);
        if (r == -ECONNREFUSED)
                return unreachable(api, call, &why, err);
        if (r < 0)
                return hl_fail(err, why.kind, why.errnum, why.code, "%s", why.message);
        bool is_success = api->answer.status >= 200 && api->answer.status <= 299;
        if (is_success && call->take)
                return 0;
        if (api->answer.body.len > 0)
                hl_json_parse(api->answer.body.data, api->answer.body.len, &json, &ignored);
        if (!is_success || !json)
                return refused(api, call, json, err);
        if (ret_json)
                *ret_json = hl_steal(json);
        return 0;
}

int cli_api_get(struct cli_api *api, enum cli_service service, char *path, hl_json **ret_json, struct hl_err *err)
{
        const struct cli_call call = { .service = service, .method = "GET", .path = path, .wait_us = CLI_ANSWER_US };
        return cli_api_ask(api, &call, ret_json, err);
}

void cli_api_show(const struct cli_api *api)
{
        cli_put(stdout, api->answer.body.data, api->answer.body.len);
}

static char *path_of(const char *folder, const char *name, const char *behind)
{
        struct hl_buf path = { 0 };
        hl_buf_adds(&path, folder);
        for (const char *s = name; *s; s++)
                hl_buf_addf(&path,
                            strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") ? "%c"
                                                                                                            : "%%%02X",
                            (unsigned char)*s);
        hl_buf_adds(&path, behind);
        return path.data;
}

char *cli_model_path(const char *name, const char *behind, struct hl_err *err)
{
        if (!*name || *name == '.' || !hl_utf8_valid(name, strlen(name))) {
                hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_model_name",
                        "a model's name is letters, digits and . _ : -, and begins with a letter or digit");
                return NULL;
        }
        return path_of("/models/", name, behind);
}

/* The model whose unit this is, or that has this name for /v1 beside its own; NULL: none. free() */
static char *find_by_other_name(struct cli_api *api, const char *name)
{
        static const char prefix[] = "model@", suffix[] = ".service";
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        struct hl_err ignored = { 0 };
        if (hl_has_prefix(name, prefix)) {
                const char *own = name + strlen(prefix), *end = strstr(own, suffix);
                return hl_strndup(own, end ? (size_t)(end - own) : strlen(own));
        }
        if (cli_api_get(api, CLI_INFERENCE, path_of("/v1/models/", name, ""), &json, &ignored) < 0)
                return NULL;
        return hl_strdup(hl_json_get_string(json, "alias_of"));
}

void cli_guess_model(struct cli_api *api, const char *name, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        struct hl_err ignored = { 0 };
        if (!err->code || (strcmp(err->code, "model_not_found") != 0 && strcmp(err->code, "invalid_model_name") != 0))
                return;
        HL_CLEANUP(hl_free_pointer) char *other = find_by_other_name(api, name);
        if (other) {
                struct hl_err known = { 0 };
                hl_fail(&known, HL_ERR_NOT_FOUND, ENOENT, "model_not_found",
                        "the model's own name is wanted here: write %.128s, not %.256s", other, name);
                *err = known;
                return;
        }
        if (err->kind != HL_ERR_NOT_FOUND || cli_api_get(api, CLI_INFERENCE, hl_strdup("/models"), &json, &ignored) < 0)
                return;
        const hl_json *models = hl_json_get_array(json, "models");
        const char *names[MODELS_MAX];
        size_t count = 0;
        for (size_t i = 0; models && i < hl_json_length(models) && count < MODELS_MAX; i++) {
                const char *known = hl_json_get_string(hl_json_object_at(models, i), "model_name");
                if (known)
                        names[count++] = known;
        }
        const char *meant = hl_nearest(name, names, count);
        struct hl_err better = { 0 };
        if (meant)
                hl_fail(&better, err->kind, err->errnum, err->code,
                        "there is no model \"%.128s\"; did you mean %.128s?", name, meant);
        else
                hl_fail(&better, err->kind, err->errnum, err->code,
                        "there is no model \"%.128s\": \"home-lab-services list\" shows those that are", name);
        *err = better;
}
