/* SPDX-License-Identifier: MIT */
/* locations.h - NGINX configuration for the models of several hosts, for an NGINX that is on none of them.
 *
 * Shape    a pure function: the same models give the same bytes. Each model gets
 *            hl_model_NAME, hl_start_NAME   upstreams: its servers, and the inference services of their hosts
 *            /NAME/                         its servers, the prefix removed
 *            @wake_NAME                     where a request waits that no server took, and is sent again
 *          and each host a location that passes reports on to its model-monitor-service.
 * Units    HL_MONITOR_PORT is where that listens on every host.
 * Errors   none. What reaches the text is names, addresses and numbers that hl_fleet has checked.
 * Owner    the texts are appended to the buffers, which the caller frees.
 * Source   nginx/kubernetes/README.md; what the locations include is in nginx/kubernetes/site.
 * Tests    tests/unit/nginx-config-updater/test_fleet.c; `nginx -t` and requests in tests/kubernetes
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CLUSTER_LOCATIONS_H
#define HL_NGINX_CONFIG_UPDATER_CLUSTER_LOCATIONS_H

#include "base/buf.h"
#include "fleet.h"

#define HL_MONITOR_PORT 5003

/* upstreams belongs beside the server, locations into it. */
void hl_nginx_fleet(const struct hl_fleet *fleet, struct hl_buf *upstreams, struct hl_buf *locations);

#endif
