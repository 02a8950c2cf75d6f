/* SPDX-License-Identifier: MIT */
#include "kubeconfig.h"

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define HTTPS "https://"

/* What is being read, for messages and for paths relative to it. */
struct source {
        const char *path;
        yaml_document_t document;
};

static int wrong(const struct source *source, struct hl_err *err, const char *what)
{
        return hl_fail(err, HL_ERR_INVALID, EINVAL, "kubeconfig_invalid", "%s: %s", source->path, what);
}

static void close_source(struct source *source)
{
        yaml_document_delete(&source->document);
}

/* One file as text, without the line break at its end. *ret_text: free(). */
static int read_text(const char *path, char **ret_text, struct hl_err *err)
{
        struct hl_buf text = { 0 };
        int r = hl_read_file(AT_FDCWD, path, HL_KUBE_FILE_SIZE_MAX, &text);
        if (r < 0) {
                hl_buf_free(&text);
                return hl_fail(err, r == -ENOENT ? HL_ERR_NOT_FOUND : HL_ERR_INTERNAL, -r, "kubeconfig_unreadable",
                               "%s cannot be read: %s", path, strerror(-r));
        }
        hl_buf_trim(&text, "\r\n");
        if (!text.len || strlen(text.data) != text.len) {
                hl_buf_free(&text);
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "kubeconfig_invalid", "%s is empty, or not text", path);
        }
        *ret_text = text.data;
        return 0;
}

/* ---- YAML ---- */

static const char *scalar(const yaml_node_t *node)
{
        if (!node || node->type != YAML_SCALAR_NODE)
                return NULL;
        const char *text = (const char *)node->data.scalar.value;
        return *text && strlen(text) == node->data.scalar.length ? text : NULL;
}

static yaml_node_t *find(struct source *source, const yaml_node_t *mapping, const char *key)
{
        if (!mapping || mapping->type != YAML_MAPPING_NODE)
                return NULL;
        for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
             pair++) {
                const char *name = scalar(yaml_document_get_node(&source->document, pair->key));
                if (name && strcmp(name, key) == 0)
                        return yaml_document_get_node(&source->document, pair->value);
        }
        return NULL;
}

static const char *find_text(struct source *source, const yaml_node_t *mapping, const char *key)
{
        return scalar(find(source, mapping, key));
}

/* clusters, contexts and users are lists of {name: NAME, ONE: {…}}. */
static int named(struct source *source, const char *list, const char *one, const char *name, yaml_node_t **ret_entry,
                 struct hl_err *err)
{
        yaml_node_t *items = find(source, yaml_document_get_root_node(&source->document), list);
        if (name && items && items->type == YAML_SEQUENCE_NODE) {
                for (yaml_node_item_t *i = items->data.sequence.items.start; i < items->data.sequence.items.top; i++) {
                        yaml_node_t *item = yaml_document_get_node(&source->document, *i);
                        const char *found = find_text(source, item, "name");
                        yaml_node_t *entry = find(source, item, one);
                        if (found && entry && strcmp(found, name) == 0) {
                                *ret_entry = entry;
                                return 0;
                        }
                }
        }
        return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "kubeconfig_invalid", "%s: there is no \"%s\" in \"%s\"",
                       source->path, name ? name : one, list);
}

static int parse(struct source *source, const char *text, struct hl_err *err)
{
        yaml_parser_t parser;
        if (!yaml_parser_initialize(&parser))
                return wrong(source, err, "libyaml cannot be set up");
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
        int loaded = yaml_parser_load(&parser, &source->document);
        if (!loaded)
                hl_fail(err, HL_ERR_INVALID, EINVAL, "kubeconfig_invalid", "%s: line %zu: not YAML: %s", source->path,
                        parser.problem_mark.line + 1, parser.problem ? parser.problem : "unknown");
        yaml_parser_delete(&parser);
        return loaded ? 0 : -EINVAL;
}

/* ---- values ---- */

static int base64_value(char c)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *at = c ? strchr(alphabet, c) : NULL;
        return at ? (int)(at - alphabet) : -1;
}

/* RFC 4648 section 4, of a text. *ret_text: free(). */
static int base64_decode(const char *text, char **ret_text)
{
        size_t len = strlen(text), used = 0;
        HL_CLEANUP(hl_free_pointer) char *out = hl_alloc(len / 4 * 3 + 1);
        if (len % 4)
                return -EINVAL;
        for (size_t i = 0; i < len; i += 4) {
                bool last = i + 4 == len;
                int pad = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
                uint32_t bits = 0;
                for (int k = 0; k < 4; k++) {
                        int value = k >= 4 - pad ? 0 : base64_value(text[i + (size_t)k]);
                        if (value < 0)
                                return -EINVAL;
                        bits = bits << 6 | (uint32_t)value;
                }
                for (int k = 0; k < 3 - pad; k++)
                        out[used++] = (char)(bits >> (16 - 8 * k) & 0xff);
        }
        if (strlen(out) != used)
                return -EINVAL;
        *ret_text = hl_steal(out);
        return 0;
}

/* KEY-data in base64, or the file that KEY names. *ret_text stays NULL where there is neither. */
static int read_pem(struct source *source, const yaml_node_t *entry, const char *key, char **ret_text,
                    struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *data_key = hl_format("%s-data", key);
        const char *data = find_text(source, entry, data_key), *file = find_text(source, entry, key);
        if (data && base64_decode(data, ret_text) < 0)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "kubeconfig_invalid", "%s: \"%s\" is not base64",
                               source->path, data_key);
        if (data || !file)
                return 0;
        const char *slash = strrchr(source->path, '/');
        int folder_len = *file == '/' || !slash ? 0 : (int)(slash - source->path + 1);
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%.*s%s", folder_len, source->path, file);
        return read_text(path, ret_text, err);
}

static int read_cluster(struct source *source, const yaml_node_t *cluster, struct hl_kubeconfig *config,
                        struct hl_err *err)
{
        const char *server = find_text(source, cluster, "server");
        const char *insecure = find_text(source, cluster, "insecure-skip-tls-verify");
        if (!server || !hl_has_prefix(server, HTTPS) || !server[strlen(HTTPS)] || server[strlen(HTTPS)] == '/')
                return wrong(source, err, "the cluster's \"server\" must be an https:// URL");
        if (insecure && strcmp(insecure, "true") == 0)
                return wrong(source, err,
                             "\"insecure-skip-tls-verify\" is not supported: give the cluster's certificate-authority");
        size_t len = strlen(server);
        config->server = hl_strndup(server, server[len - 1] == '/' ? len - 1 : len);
        return read_pem(source, cluster, "certificate-authority", &config->ca, err);
}

static int read_user(struct source *source, const yaml_node_t *user, struct hl_kubeconfig *config, struct hl_err *err)
{
        const char *token = find_text(source, user, "token"), *file = find_text(source, user, "tokenFile");
        int r = 0;
        if (file) /* wins over "token", as in kubectl: it rotates */
                r = read_text(file, &config->token, err);
        else
                config->token = hl_strdup(token);
        if (r == 0)
                r = read_pem(source, user, "client-certificate", &config->certificate, err);
        if (r == 0)
                r = read_pem(source, user, "client-key", &config->key, err);
        if (r < 0)
                return r;
        if (!config->certificate != !config->key)
                return wrong(source, err, "the user has only one of \"client-certificate\" and \"client-key\"");
        if (!config->token && !config->certificate)
                return wrong(source, err,
                             "the user has no token and no client certificate; programs that issue them (\"exec\", "
                             "\"auth-provider\") are not run: put a token of a service account there");
        return 0;
}

static int read_config(struct source *source, struct hl_kubeconfig *config, struct hl_err *err)
{
        yaml_node_t *context = NULL, *cluster = NULL, *user = NULL;
        const char *current = find_text(source, yaml_document_get_root_node(&source->document), "current-context");
        int r = current ? named(source, "contexts", "context", current, &context, err)
                        : wrong(source, err, "there is no \"current-context\"");
        if (r == 0)
                r = named(source, "clusters", "cluster", find_text(source, context, "cluster"), &cluster, err);
        if (r == 0)
                r = named(source, "users", "user", find_text(source, context, "user"), &user, err);
        if (r == 0)
                r = read_cluster(source, cluster, config, err);
        return r < 0 ? r : read_user(source, user, config, err);
}

int hl_kubeconfig_load(const char *path, struct hl_kubeconfig *ret_config, struct hl_err *err)
{
        const char *named_path = path ? path : getenv("KUBECONFIG"), *home = getenv("HOME");
        HL_CLEANUP(hl_free_pointer)
        char *file = named_path && *named_path ? hl_strdup(named_path) : hl_format("%s/.kube/config", home ? home : "");
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        int r = read_text(file, &text, err);
        if (r < 0)
                return r;
        HL_CLEANUP(close_source) struct source source = { .path = file };
        r = parse(&source, text, err);
        if (r < 0)
                return r;
        struct hl_kubeconfig config = { .token_advice =
                                                "put a new token, or a new client certificate, in the kubeconfig" };
        r = read_config(&source, &config, err);
        if (r < 0)
                hl_kubeconfig_free(&config);
        else
                *ret_config = config;
        return r;
}

int hl_kubeconfig_load_pod(struct hl_kubeconfig *ret_config, struct hl_err *err)
{
        const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
        if (!host || !*host)
                return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "not_in_a_pod",
                               "this is not a pod (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig");
        struct hl_kubeconfig config = { .token_advice = "the pod's service account may have been deleted: "
                                                        "kubectl apply -k nginx/kubernetes, and restart the pod" };
        int r = read_text(HL_KUBE_POD_DIR "/token", &config.token, err);
        if (r == 0)
                r = read_text(HL_KUBE_POD_DIR "/ca.crt", &config.ca, err);
        if (r < 0) {
                hl_kubeconfig_free(&config);
                return r;
        }
        bool bare_ipv6 = strchr(host, ':') && *host != '[';
        config.server = hl_format(bare_ipv6 ? "https://[%s]:%s" : "https://%s:%s", host, port && *port ? port : "443");
        *ret_config = config;
        return 0;
}

void hl_kubeconfig_free(struct hl_kubeconfig *config)
{
        free(config->server);
        free(config->ca);
        free(config->token);
        free(config->certificate);
        free(config->key);
        *config = (struct hl_kubeconfig){ 0 };
}
