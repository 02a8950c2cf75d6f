/* SPDX-License-Identifier: MIT */
/* fleet.h - the models of several hosts, as their inference services tell them.
 *
 * Shape    one hl_fleet_host for each URL, in the order given; its models are sorted by name. What
 *          a host said last is kept as JSON by who publishes it, and taken up again for a
 *          host that cannot be asked now: its models wait for it.
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   hl_fleet_parse(): -EINVAL/INVALID, with the URL. hl_fleet_ask(): what hl_http_client_ask()
 *          says; -EACCES/FORBIDDEN: the host wants another token, and what to do;
 *          -EPROTO/UPSTREAM: its answer is not a list of models, and none of it is taken.
 *          hl_fleet_recall(): -EINVAL/INTERNAL: this is not what hl_fleet_document() wrote.
 * Owner    hl_fleet_free().
 * Source   GET /models: handlers/README.md.
 * Tests    tests/unit/nginx-config-updater/test_fleet.c, tests/kubernetes/test_faults.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CLUSTER_FLEET_H
#define HL_NGINX_CONFIG_UPDATER_CLUSTER_FLEET_H

#include "base/json.h"
#include "config/catalog.h"
#include "transport/http_client.h"

#define HL_FLEET_HOSTS_MAX 64
#define HL_FLEET_ANSWER_MAX (4 * 1024 * 1024) /* bytes of one host's list: HL_CATALOG_MAX models fit */

struct hl_fleet_model {
        char name[HL_MODEL_NAME_MAX + 1];
        uint16_t port;
};

struct hl_fleet_host {
        char *url;                     /* "http://gpu-box:5002", without a slash at its end */
        uint16_t port;                 /* the URL's */
        char address[HL_ADDRESS_SIZE]; /* where it answered; "" as long as nobody knows */
        struct hl_fleet_model *models; /* those with a port */
        size_t count;
};

struct hl_fleet {
        struct hl_fleet_host *hosts;
        size_t count;
};

/* "http://192.168.1.10:5002,http://gpu-box:5002" */
int hl_fleet_parse(const char *urls, struct hl_fleet *ret_fleet, struct hl_err *err);
void hl_fleet_free(struct hl_fleet *fleet);

/* token NULL: none is sent. The host's models and address are replaced as a whole, or stay. */
int hl_fleet_ask(struct hl_fleet_host *host, struct hl_http_client *client, const char *token, uint64_t deadline_us,
                 struct hl_err *err);

/* {"hosts":[{"url","address","models":[{"name","port"}]}]}; hl_json_free(). */
hl_json *hl_fleet_document(const struct hl_fleet *fleet);

/* Takes from a document what it says of this host; nothing where it does not know it. */
int hl_fleet_recall(struct hl_fleet_host *host, const hl_json *document, struct hl_err *err);

#endif
