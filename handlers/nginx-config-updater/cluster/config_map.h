/* SPDX-License-Identifier: MIT */
/* config_map.h - the two calls to a Kubernetes API server that are needed: read a ConfigMap, and apply our keys of it.
 *
 * Shape    a server-side apply under a field manager's name: the keys given become exactly
 *          those that this manager owns; other keys of the ConfigMap are not touched.
 * Units    deadline_us is CLOCK_MONOTONIC. *ret_wait_seconds is how long the server asks to
 *          be left alone (429, 503); 0 where it does not say. May be NULL.
 * Errors   every refusal is one sentence that says what to do.
 *          -EACCES/FORBIDDEN: 401 (kubernetes_unauthorized), 403 (kubernetes_forbidden);
 *          -ENOENT/NOT_FOUND: 404; -EEXIST/CONFLICT: 409, another manager owns a key, which
 *          the sentence names; -EINVAL/INVALID: 400, 422; -EAGAIN/BUSY: 429, 5xx;
 *          -EPROTO/UPSTREAM: an answer that makes no sense; and hl_http_client_ask()'s own.
 * Owner    *ret_configmap: hl_json_free().
 * Source   kubernetes.io: "Server-Side Apply", "Kubernetes API Concepts".
 * Tests    tests/kubernetes/test_publish.py (a real API server), test_faults.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CLUSTER_CONFIG_MAP_H
#define HL_NGINX_CONFIG_UPDATER_CLUSTER_CONFIG_MAP_H

#include "base/json.h"
#include "kubeconfig.h"
#include "transport/http_client.h"

#include <stdbool.h>

#define HL_CONFIGMAP_SIZE_MAX (1024 * 1024)            /* bytes of data; the API server's own limit */
#define HL_CONFIG_MAP_ANSWER_MAX (4 * 1024 * 1024 + 1) /* bytes: a full ConfigMap, escaped, and who manages it */

struct hl_api_server {
        struct hl_http_client *client;
        const struct hl_kubeconfig *config;
        const char *namespace;
        const char *configmap;
        const char *manager; /* the field manager's name */
        uint64_t deadline_us;
};

int hl_config_map_get(const struct hl_api_server *server, hl_json **ret_configmap, unsigned *ret_wait_seconds,
                      struct hl_err *err);

/* data is an object of strings, and stays the caller's. force: takes keys over from other managers. */
int hl_config_map_apply(const struct hl_api_server *server, hl_json *data, bool force, hl_json **ret_configmap,
                        unsigned *ret_wait_seconds, struct hl_err *err);

#endif
