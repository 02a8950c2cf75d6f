/* SPDX-License-Identifier: MIT */
/* publish.h - nginx-config-updater --kubernetes: the models of several hosts -> NGINX's ConfigMap.
 *
 * Shape    hl_publish() is one run, which reads tokens, certificates and the environment afresh.
 * Process  what a run has to say goes to standard error at its end, unless the run before said the same.
 * Tests    tests/kubernetes
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CLUSTER_PUBLISH_H
#define HL_NGINX_CONFIG_UPDATER_CLUSTER_PUBLISH_H

#include "base/buf.h"

#include <stdbool.h>

struct hl_publish {
        const char *kubeconfig; /* NULL: the pod's, or the usual place */
        const char *namespace;
        const char *configmap;
        const char *health_file; /* NULL: none */
        bool force;
        struct hl_http_client *client;
        unsigned wait_seconds; /* after a run: how long the API server asked to be left alone */
        struct hl_buf said;    /* in this run */
        struct hl_buf before;  /* in the one before */
};

/* Returns the run's exit status. */
int hl_publish(struct hl_publish *publish);

/* The program: the arguments after "--kubernetes". */
int hl_kubernetes_main(int argc, char **argv);

#endif
