/* SPDX-License-Identifier: MIT */
/* One run: ask every host for its models, make NGINX's configuration, apply it where it is another one.
 *
 * What was published is the memory: a host that cannot be asked keeps the models that the ConfigMap has of it. So this
 * program can be killed at any time and nothing is lost, and it never takes away what it merely could not see.
 */
#include "publish.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "config_map.h"
#include "fleet.h"
#include "locations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define HOST_TIMEOUT_US (10 * HL_USEC_PER_SEC)
#define API_TIMEOUT_US (20 * HL_USEC_PER_SEC)
#define TOKEN_SIZE_MAX 4096 /* bytes */

#define KEY_UPSTREAMS "upstreams.conf"
#define KEY_LOCATIONS "locations.conf"
#define KEY_MODELS "models.json"

static void say(struct hl_publish *publish, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct hl_publish *publish, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *line = hl_vformat(format, args);
        va_end(args);
        hl_buf_addf(&publish->said, "nginx-config-updater: %s\n", line);
}

static void flush_said(struct hl_publish *publish)
{
        if (publish->said.len && (publish->said.len != publish->before.len ||
                                  memcmp(publish->said.data, publish->before.data, publish->said.len) != 0))
                fputs(publish->said.data, stderr);
        hl_buf_free(&publish->before);
        publish->before = publish->said;
        publish->said = (struct hl_buf){ 0 };
}

/* ---- the hosts ---- */

/* The token for the hosts, in the file that INFERENCE_SERVICE_TOKEN_FILE names. An absent one is none: hosts say so. */
static int read_token(char **ret_token, struct hl_err *err)
{
        const char *path = getenv("INFERENCE_SERVICE_TOKEN_FILE");
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        if (!path || !*path)
                return 0;
        int r = hl_read_file(AT_FDCWD, path, TOKEN_SIZE_MAX, &text);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return hl_fail(err, HL_ERR_INTERNAL, -r, "token_unreadable", "%s: %s", path, strerror(-r));
        hl_buf_trim(&text, " \r\n");
        for (size_t i = 0; i < text.len; i++)
                if (text.data[i] <= ' ' || text.data[i] > '~')
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "token_invalid",
                                       "%s: a token is one word, such as \"hls_…\"", path);
        if (text.len)
                *ret_token = hl_strdup(text.data);
        return 0;
}

/* published: what the ConfigMap has of the last run; NULL where there was none. */
static int ask_hosts(struct hl_publish *publish, struct hl_fleet *fleet, const hl_json *published, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *token = NULL;
        size_t answered = 0;
        int r = read_token(&token, err);
        for (size_t i = 0; r == 0 && i < fleet->count; i++) {
                struct hl_fleet_host *host = &fleet->hosts[i];
                struct hl_err host_err = { 0 };
                if (hl_fleet_ask(host, publish->client, token, hl_clock_monotonic() + HOST_TIMEOUT_US, &host_err) ==
                    0) {
                        answered++;
                        continue;
                }
                r = published ? hl_fleet_recall(host, published, err) : 0;
                say(publish, "%s; its %zu models stay as they are", host_err.message, host->count);
        }
        if (r == 0 && !answered)
                r = hl_fail(err, HL_ERR_BUSY, EAGAIN, "no_host",
                            "no inference service could be asked: nothing is changed");
        return r;
}

/* ---- what is published ---- */

static void add_heading(struct hl_buf *out, const struct hl_fleet *fleet, const char *changed)
{
        hl_buf_addf(out,
                    "# Made by nginx-config-updater of Home Lab Services; what is written here by hand is lost.\n"
                    "# Changed: %s\n",
                    changed);
        for (size_t i = 0; i < fleet->count; i++)
                hl_buf_addf(out, "# From:    %s, %zu models\n", fleet->hosts[i].url, fleet->hosts[i].count);
}

/* The same fleet and the same time give the same bytes. */
static hl_json *make_data(const struct hl_fleet *fleet, const char *changed)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf upstreams = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf locations = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf models = { 0 };
        HL_CLEANUP(hl_json_cleanup) hl_json *document = hl_fleet_document(fleet);
        add_heading(&upstreams, fleet, changed);
        add_heading(&locations, fleet, changed);
        hl_nginx_fleet(fleet, &upstreams, &locations);
        hl_json_set_string(document, "changed", changed);
        hl_json_print(document, &models);

        hl_json *data = hl_json_new();
        hl_json_set_string(data, KEY_UPSTREAMS, upstreams.data);
        hl_json_set_string(data, KEY_LOCATIONS, locations.data);
        hl_json_set_string(data, KEY_MODELS, models.data);
        return data;
}

static const char *const keys[] = { KEY_UPSTREAMS, KEY_LOCATIONS, KEY_MODELS };

static bool is_published(const hl_json *data, const hl_json *published_data)
{
        for (size_t i = 0; i < HL_COUNT(keys); i++) {
                const char *there = hl_json_get_string(published_data, keys[i]);
                if (!there || strcmp(there, hl_json_get_string(data, keys[i])) != 0)
                        return false;
        }
        return true;
}

static int check_size(const hl_json *data, struct hl_err *err)
{
        size_t size = 0;
        for (size_t i = 0; i < HL_COUNT(keys); i++)
                size += strlen(keys[i]) + strlen(hl_json_get_string(data, keys[i]));
        if (size <= HL_CONFIGMAP_SIZE_MAX)
                return 0;
        return hl_fail(err, HL_ERR_INVALID, EMSGSIZE, "too_large",
                       "the configuration has %zu bytes, and a ConfigMap takes %d: there are too many models", size,
                       HL_CONFIGMAP_SIZE_MAX);
}

/* ---- the API server ---- */

static int load_kubeconfig(const struct hl_publish *publish, struct hl_kubeconfig *ret_config, struct hl_err *err)
{
        if (!publish->kubeconfig && getenv("KUBERNETES_SERVICE_HOST"))
                return hl_kubeconfig_load_pod(ret_config, err);
        return hl_kubeconfig_load(publish->kubeconfig, ret_config, err);
}

/* data NULL: only reads the ConfigMap. A token may expire between two calls: if there is a new one, it is tried. */
static int call_api(struct hl_publish *publish, struct hl_kubeconfig *config, hl_json *data, hl_json **ret_configmap,
                    struct hl_err *err)
{
        for (int attempt = 0;; attempt++) {
                const struct hl_api_server kube = { .client = publish->client,
                                                    .config = config,
                                                    .namespace = publish->namespace,
                                                    .configmap = publish->configmap,
                                                    .manager = "nginx-config-updater",
                                                    .deadline_us = hl_clock_monotonic() + API_TIMEOUT_US };
                struct hl_err call_err = { 0 };
                int r = data ? hl_config_map_apply(&kube, data, publish->force, ret_configmap, &publish->wait_seconds,
                                                   &call_err)
                             : hl_config_map_get(&kube, ret_configmap, &publish->wait_seconds, &call_err);
                if (r == 0)
                        return 0;
                struct hl_kubeconfig fresh = { 0 };
                struct hl_err load_err = { 0 };
                if (attempt == 0 && strcmp(call_err.code, "kubernetes_unauthorized") == 0 &&
                    load_kubeconfig(publish, &fresh, &load_err) == 0 && config->token && fresh.token &&
                    strcmp(config->token, fresh.token) != 0) {
                        hl_kubeconfig_free(config);
                        *config = fresh;
                        continue;
                }
                hl_kubeconfig_free(&fresh);
                *err = call_err;
                return r;
        }
}

static int publish_changes(struct hl_publish *publish, struct hl_kubeconfig *config, struct hl_fleet *fleet,
                           struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *configmap = NULL;
        HL_CLEANUP(hl_json_cleanup) hl_json *published = NULL;
        HL_CLEANUP(hl_json_cleanup) hl_json *data = NULL;
        HL_CLEANUP(hl_json_cleanup) hl_json *applied = NULL;
        int r = call_api(publish, config, NULL, &configmap, err);
        if (r < 0)
                return r;
        const hl_json *published_data = hl_json_get_object(configmap, "data");
        const char *models = hl_json_get_string(published_data, KEY_MODELS);
        struct hl_err parse_err = { 0 };
        if (models && hl_json_parse(models, strlen(models), &published, &parse_err) < 0)
                published = hl_json_new(); /* unreadable: only matters for a host that has to be recalled */
        r = ask_hosts(publish, fleet, published, err);
        if (r < 0)
                return r;

        const char *changed = hl_json_get_string(published, "changed");
        data = make_data(fleet, changed ? changed : "never");
        if (is_published(data, published_data))
                return 0;
        char now[HL_RFC3339_SIZE];
        hl_json_free(data);
        data = make_data(fleet, hl_format_rfc3339(hl_clock_realtime(), now));
        r = check_size(data, err);
        if (r == 0)
                r = call_api(publish, config, data, &applied, err);
        if (r == 0) {
                const char *version = hl_json_get_string(hl_json_get_object(applied, "metadata"), "resourceVersion");
                say(publish, "%s/%s has changed at %s: resourceVersion %s", publish->namespace, publish->configmap, now,
                    version ? version : "unknown");
        }
        return r;
}

/* ---- runs ---- */

/* A probe reads its first word, and its age: it is written anew at the end of each run, good or bad. */
static void write_health(struct hl_publish *publish, const struct hl_err *err)
{
        if (!publish->health_file)
                return;
        HL_CLEANUP(hl_free_pointer)
        char *text = err->kind ? hl_format("failing: %s\n", err->message) : hl_strdup("ok\n");
        int r = hl_replace_file(publish->health_file, text, strlen(text), 0644, (gid_t)-1);
        if (r < 0)
                say(publish, "%s: %s", publish->health_file, strerror(-r));
}

/* Its input is its configuration, and whoever cannot be asked is asked again by the next run. */
static int exit_status(enum hl_err_kind kind)
{
        switch (kind) {
        case HL_ERR_INVALID:
                return EX_CONFIG;
        case HL_ERR_BUSY:
        case HL_ERR_TIMEOUT:
        case HL_ERR_CANCELLED:
        case HL_ERR_UPSTREAM:
                return EX_UNAVAILABLE;
        case HL_ERR_INTERNAL:
                return EX_SOFTWARE;
        default:
                return hl_exit_status(kind);
        }
}

int hl_publish(struct hl_publish *publish)
{
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_fleet_free) struct hl_fleet fleet = { 0 };
        HL_CLEANUP(hl_kubeconfig_free) struct hl_kubeconfig config = { 0 };
        publish->wait_seconds = 0;
        int r = hl_fleet_parse(getenv("INFERENCE_SERVICE_URL"), &fleet, &err);
        if (r == 0)
                r = load_kubeconfig(publish, &config, &err);
        if (r == 0)
                publish_changes(publish, &config, &fleet, &err);
        if (err.kind)
                say(publish, "error: %s", err.message);
        write_health(publish, &err);
        flush_said(publish);
        return exit_status(err.kind);
}
