/* SPDX-License-Identifier: MIT */
/* kubeconfig.h - where an API server is, and what to show it: from a kubeconfig, or from a pod's own files.
 *
 * Shape    a copy of the files at one instant. Tokens and certificates rotate, so load it
 *          afresh for each run.
 * Errors   -ENOENT/NOT_FOUND: no such file, or no such entry in it; -EINVAL/INVALID: it
 *          cannot be used, and what to do; other -errno/INTERNAL: it cannot be read.
 * Owner    hl_kubeconfig_free().
 * Source   kubernetes.io: "Organizing Cluster Access Using kubeconfig Files", "Accessing the
 *          Kubernetes API from a Pod"; libyaml, whose only user this is. Programs that issue
 *          tokens (exec, auth-provider) are not run, and verification cannot be switched off.
 * Tests    tests/unit/nginx-config-updater/test_kubeconfig.c
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CLUSTER_KUBECONFIG_H
#define HL_NGINX_CONFIG_UPDATER_CLUSTER_KUBECONFIG_H

#include "transport/http_client.h"

struct hl_err;

#define HL_KUBE_FILE_SIZE_MAX (1024 * 1024) /* bytes: of a kubeconfig, a certificate, a token */
#define HL_KUBE_POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct hl_kubeconfig {
        char *server;             /* "https://10.0.0.1:443" */
        char *ca;                 /* PEM; NULL: what the system trusts */
        char *token;              /* NULL: none */
        char *certificate, *key;  /* PEM; NULL: none */
        const char *token_advice; /* what to do when the server knows this user no more */
};

/* path NULL: $KUBECONFIG, or ~/.kube/config. */
int hl_kubeconfig_load(const char *path, struct hl_kubeconfig *ret_config, struct hl_err *err);

/* In a pod: its service account. The environment says so. */
int hl_kubeconfig_load_pod(struct hl_kubeconfig *ret_config, struct hl_err *err);

void hl_kubeconfig_free(struct hl_kubeconfig *config);

#endif
