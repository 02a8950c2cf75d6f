/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 300           /* bytes */
#define HOST_SENTENCE_MAX 200 /* bytes of a host's own message that ours repeats */
#define HTTP_PORT 80

/* ---- the list of hosts ---- */

/* The port of "http://HOST[:PORT]", or 0 where it is no such URL. */
static uint16_t url_port(const char *url)
{
        static const char scheme[] = "http://";
        if (!hl_has_prefix(url, scheme) || strlen(url) > URL_MAX)
                return 0;
        const char *host = url + strlen(scheme);
        size_t len = strcspn(host, ":");
        if (*host == '[') { /* IPv6 */
                const char *end = strchr(host, ']');
                len = end ? (size_t)(end - host) + 1 : 0;
                if (len < 4 || strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 2 || (end[1] && end[1] != ':'))
                        return 0;
        } else if (!len || strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != len) {
                return 0;
        }
        uint64_t port = HTTP_PORT;
        if (host[len] && hl_parse_uint(host + len + 1, UINT16_MAX, &port) < 0)
                return 0;
        return (uint16_t)port;
}

static int add_host(struct hl_fleet *fleet, const char *text, size_t len, struct hl_err *err)
{
        while (len && text[len - 1] == '/')
                len--;
        HL_CLEANUP(hl_free_pointer) char *url = hl_strndup(text, len);
        uint16_t port = url_port(url);
        if (!port) {
                hl_make_printable(url);
                return hl_fail(
                        err, HL_ERR_INVALID, EINVAL, "invalid_url",
                        "INFERENCE_SERVICE_URL: \"%.100s\" is not http://HOST:PORT, such as http://192.168.1.10:5002",
                        url);
        }
        for (size_t i = 0; i < fleet->count; i++)
                if (strcmp(fleet->hosts[i].url, url) == 0)
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_url",
                                       "INFERENCE_SERVICE_URL: %.100s appears twice", url);
        if (fleet->count == HL_FLEET_HOSTS_MAX)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_url", "INFERENCE_SERVICE_URL: more than %d hosts",
                               HL_FLEET_HOSTS_MAX);
        fleet->hosts = hl_grow(fleet->hosts, fleet->count + 1, sizeof(*fleet->hosts));
        fleet->hosts[fleet->count++] = (struct hl_fleet_host){ .url = hl_steal(url), .port = port };
        return 0;
}

int hl_fleet_parse(const char *urls, struct hl_fleet *ret_fleet, struct hl_err *err)
{
        struct hl_fleet fleet = { 0 };
        int r = 0;
        for (const char *at = urls ? urls : ""; r == 0 && *at;) {
                at += strspn(at, ", \t\n");
                size_t len = strcspn(at, ", \t\n");
                if (len)
                        r = add_host(&fleet, at, len, err);
                at += len;
        }
        if (r == 0 && !fleet.count)
                r = hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_url",
                            "INFERENCE_SERVICE_URL is not set: it names the inference services, such as "
                            "http://192.168.1.10:5002,http://192.168.1.11:5002");
        if (r < 0)
                hl_fleet_free(&fleet);
        else
                *ret_fleet = fleet;
        return r;
}

void hl_fleet_free(struct hl_fleet *fleet)
{
        for (size_t i = 0; i < fleet->count; i++) {
                free(fleet->hosts[i].url);
                free(fleet->hosts[i].models);
        }
        free(fleet->hosts);
        *fleet = (struct hl_fleet){ 0 };
}

/* ---- the list of models ---- */

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct hl_fleet_model *)a)->name, ((const struct hl_fleet_model *)b)->name);
}

/* An array of {name_key, "port"}; false where it is anything else. A port that is null is a model that cannot be
 * reached. *ret_models: free(). */
static bool read_models(const hl_json *array, const char *name_key, struct hl_fleet_model **ret_models,
                        size_t *ret_count)
{
        if (!array || hl_json_length(array) > HL_CATALOG_MAX)
                return false;
        HL_CLEANUP(hl_free_pointer)
        struct hl_fleet_model *models = hl_alloc((hl_json_length(array) + 1) * sizeof(*models));
        size_t count = 0;
        for (size_t i = 0; i < hl_json_length(array); i++) {
                const hl_json *item = hl_json_object_at(array, i);
                const char *name = hl_json_get_string(item, name_key);
                int64_t port = hl_json_is_null(item, "port") ? 0 : hl_json_get_int(item, "port", -1);
                if (!name || !hl_model_name_valid(name) || port < 0 || port > UINT16_MAX)
                        return false;
                if (!port)
                        continue;
                hl_copy(models[count].name, sizeof(models[count].name), name);
                models[count++].port = (uint16_t)port;
        }
        qsort(models, count, sizeof(*models), by_name);
        for (size_t i = 1; i < count; i++)
                if (strcmp(models[i - 1].name, models[i].name) == 0)
                        return false;
        *ret_models = hl_steal(models);
        *ret_count = count;
        return true;
}

static int refused(const char *url, int status, bool with_token, const hl_json *json, struct hl_err *err)
{
        const char *message = hl_json_get_string(json, "message");
        HL_CLEANUP(hl_free_pointer)
        char *said = hl_strndup(message ? message : "it says no more", HOST_SENTENCE_MAX);
        hl_make_printable(said);
        if (status == 401 || (status == 403 && !with_token))
                return hl_fail(
                        err, HL_ERR_FORBIDDEN, EACCES, "host_refused",
                        "%s %s (%d): on that host \"sudo home-lab-services token add nginx-updater --scope read\" "
                        "makes one, which belongs in the Secret home-lab-services-token",
                        url, with_token ? "does not know our token" : "wants a token", status);
        if (status == 403)
                return hl_fail(err, HL_ERR_FORBIDDEN, EACCES, "host_refused", "%s refuses (403): %s", url, said);
        return hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "host_failed", "%s answered %d instead of its models: %s", url,
                       status, said);
}

int hl_fleet_ask(struct hl_fleet_host *host, struct hl_http_client *client, const char *token, uint64_t deadline_us,
                 struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *url = hl_format("%s/models", host->url);
        struct hl_http_client_request request = {
                .method = "GET", .url = url, .token = token, .deadline_us = deadline_us
        };
        struct hl_http_client_answer answer = { .body.max = HL_FLEET_ANSWER_MAX };
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        int r = hl_http_client_ask(client, &request, &answer, err);
        if (r == 0) {
                struct hl_err not_json = { 0 };
                hl_json_parse(answer.body.data ? answer.body.data : "", answer.body.len, &json, &not_json);
                struct hl_fleet_model *models;
                size_t count;
                if (answer.status != 200)
                        r = refused(host->url, answer.status, token != NULL, json, err);
                else if (!read_models(hl_json_get_array(json, "models"), "model_name", &models, &count))
                        r = hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "host_failed",
                                    "%s answered something that is not a list of models: is it an inference-service?",
                                    host->url);
                if (r == 0) {
                        free(host->models);
                        host->models = models;
                        host->count = count;
                        hl_copy(host->address, sizeof(host->address), answer.address);
                }
        }
        hl_buf_free(&answer.body);
        return r;
}

/* ---- what was said last ---- */

hl_json *hl_fleet_document(const struct hl_fleet *fleet)
{
        hl_json *document = hl_json_new(), *hosts = hl_json_new_array();
        hl_json_set(document, "hosts", hosts);
        for (size_t i = 0; i < fleet->count; i++) {
                const struct hl_fleet_host *host = &fleet->hosts[i];
                hl_json *one = hl_json_new(), *models = hl_json_new_array();
                hl_json_set_string(one, "url", host->url);
                hl_json_set_string(one, "address", host->address);
                hl_json_set(one, "models", models);
                hl_json_push(hosts, one);
                for (size_t k = 0; k < host->count; k++) {
                        hl_json *model = hl_json_new();
                        hl_json_set_string(model, "name", host->models[k].name);
                        hl_json_set_int(model, "port", host->models[k].port);
                        hl_json_push(models, model);
                }
        }
        return document;
}

int hl_fleet_recall(struct hl_fleet_host *host, const hl_json *document, struct hl_err *err)
{
        const hl_json *hosts = hl_json_get_array(document, "hosts");
        bool good = hosts != NULL;
        for (size_t i = 0; good && i < hl_json_length(hosts); i++) {
                const hl_json *one = hl_json_object_at(hosts, i);
                const char *url = hl_json_get_string(one, "url"), *address = hl_json_get_string(one, "address");
                struct hl_fleet_model *models;
                size_t count;
                if (url && strcmp(url, host->url) != 0)
                        continue;
                /* It has lain where others may write, and goes into NGINX's configuration. */
                good = url && address && (!*address || hl_is_address(address)) &&
                       read_models(hl_json_get_array(one, "models"), "name", &models, &count);
                if (good) {
                        free(host->models);
                        host->models = models;
                        host->count = *address ? count : 0;
                        hl_copy(host->address, sizeof(host->address), address);
                }
        }
        return good ? 0
                    : hl_fail(err, HL_ERR_INTERNAL, EINVAL, "document_invalid",
                              "what was published last cannot be read: somebody has changed it");
}
