/* SPDX-License-Identifier: MIT */
#include "config_map.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

#define SERVER_SENTENCE_MAX 250 /* bytes of the server's own message that ours repeats */

/* The server's Status object is not repeated as it is: it comes over the network and goes to a terminal. */
static char *sentence_of(const hl_json *answer, const char *otherwise)
{
        const char *message = hl_json_get_string(answer, "message");
        char *text =
                hl_strndup(message ? message : otherwise, strnlen(message ? message : otherwise, SERVER_SENTENCE_MAX));
        hl_make_printable(text);
        return text;
}

static int conflict(const struct hl_api_server *server, const hl_json *answer, const char *sentence, struct hl_err *err)
{
        const hl_json *causes = hl_json_get_array(hl_json_get_object(answer, "details"), "causes");
        for (size_t i = 0; causes && i < hl_json_length(causes); i++) {
                const char *reason = hl_json_get_string(hl_json_object_at(causes, i), "reason");
                if (reason && strcmp(reason, "FieldManagerConflict") == 0)
                        return hl_fail(err, HL_ERR_CONFLICT, EEXIST, "kubernetes_conflict",
                                       "somebody else has written our keys of the ConfigMap %s, which stays as it is: "
                                       "%s. To take them over, run once with --force",
                                       server->configmap, sentence);
        }
        return hl_fail(err, HL_ERR_BUSY, EAGAIN, "kubernetes_busy", "the API server asks to try again: %s", sentence);
}

static int refused(const struct hl_api_server *server, int status, const hl_json *answer, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *sentence = sentence_of(answer, "it says no more");
        switch (status) {
        case 400:
        case 422:
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "kubernetes_invalid",
                               "the API server takes the configuration for wrong (%d): %s", status, sentence);
        case 401:
                return hl_fail(err, HL_ERR_FORBIDDEN, EACCES, "kubernetes_unauthorized",
                               "the API server does not accept our token or certificate (401): %s",
                               server->config->token_advice);
        case 403:
                return hl_fail(err, HL_ERR_FORBIDDEN, EACCES, "kubernetes_forbidden",
                               "the API server does not allow this (403): %s. The Role in nginx/kubernetes does: "
                               "kubectl apply -k nginx/kubernetes",
                               sentence);
        case 404:
                return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "kubernetes_not_found",
                               "there is no ConfigMap %s in namespace %s: kubectl apply -k nginx/kubernetes",
                               server->configmap, server->namespace);
        case 409:
                return conflict(server, answer, sentence, err);
        default:
                if (status == 429 || status >= 500)
                        return hl_fail(err, HL_ERR_BUSY, EAGAIN, "kubernetes_busy",
                                       "the API server cannot answer now (%d): %s", status, sentence);
                return hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "kubernetes_answer",
                               "the API server's answer %d is not understood: %s", status, sentence);
        }
}

/* what: the method and the body. */
static int call(const struct hl_api_server *server, const struct hl_http_client_request *what, const char *query,
                hl_json **ret_configmap, unsigned *ret_wait_seconds, struct hl_err *err)
{
        const struct hl_kubeconfig *config = server->config;
        HL_CLEANUP(hl_free_pointer)
        char *url = hl_format("%s/api/v1/namespaces/%s/configmaps/%s%s", config->server, server->namespace,
                              server->configmap, query);
        struct hl_http_client_tls tls = { .ca = config->ca, .certificate = config->certificate, .key = config->key };
        struct hl_http_client_request request = *what;
        request.url = url;
        request.token = config->token;
        request.tls = &tls;
        request.deadline_us = server->deadline_us;

        struct hl_http_client_answer answer = { .body.max = HL_CONFIG_MAP_ANSWER_MAX };
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        int r = hl_http_client_ask(server->client, &request, &answer, err);
        if (r == 0) {
                struct hl_err not_json = { 0 };
                hl_json_parse(answer.body.data ? answer.body.data : "", answer.body.len, &json, &not_json);
                if (ret_wait_seconds)
                        *ret_wait_seconds = answer.retry_after_seconds;
                if (answer.status != 200 && answer.status != 201)
                        r = refused(server, answer.status, json, err);
                else if (!hl_json_get_object(json, "metadata"))
                        r = hl_fail(err, HL_ERR_UPSTREAM, EPROTO, "kubernetes_answer",
                                    "%s answered, but not with a ConfigMap: is it a Kubernetes API server?",
                                    config->server);
                else
                        *ret_configmap = hl_steal(json);
        }
        hl_buf_free(&answer.body);
        return r;
}

int hl_config_map_get(const struct hl_api_server *server, hl_json **ret_configmap, unsigned *ret_wait_seconds,
                      struct hl_err *err)
{
        struct hl_http_client_request request = { .method = "GET" };
        return call(server, &request, "", ret_configmap, ret_wait_seconds, err);
}

int hl_config_map_apply(const struct hl_api_server *server, hl_json *data, bool force, hl_json **ret_configmap,
                        unsigned *ret_wait_seconds, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *body = hl_json_new();
        hl_json *metadata = hl_json_new();
        hl_json_set_string(body, "apiVersion", "v1");
        hl_json_set_string(body, "kind", "ConfigMap");
        hl_json_set_string(metadata, "name", server->configmap);
        hl_json_set_string(metadata, "namespace", server->namespace);
        hl_json_set(body, "metadata", metadata);
        hl_json_set(body, "data", hl_json_ref(data));

        struct hl_buf text = { 0 };
        hl_json_print(body, &text);
        HL_CLEANUP(hl_free_pointer)
        char *query = hl_format("?fieldManager=%s%s", server->manager, force ? "&force=true" : "");
        struct hl_http_client_request request = { .method = "PATCH",
                                                  .content_type = "application/apply-patch+yaml", /* JSON is YAML */
                                                  .body = text.data,
                                                  .body_len = text.len };
        int r = call(server, &request, query, ret_configmap, ret_wait_seconds, err);
        hl_buf_free(&text);
        return r;
}
