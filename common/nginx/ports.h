/* SPDX-License-Identifier: MIT */
/* ports.h - the TCP ports that are NGINX's own. A model on one of them would be NGINX itself: its request would come
 * back to NGINX, and go to the model again.
 *
 * Shape    what its configuration says, whatever the address, so that a port is known as NGINX's while that is stopped;
 *          for a start, what it listens on besides, by the kernel's word.
 * Errors   hl_nginx_ports_read() has none: no NGINX, or no configuration that we may read, gives no ports.
 *          hl_nginx_ports_check(): -EADDRINUSE/CONFLICT "port_in_use".
 * Owner    hl_nginx_ports_free().
 * Source   "listen" in http://nginx.org/en/docs/http/ngx_http_core_module.html and ngx_stream_core_module.html.
 * Tests    tests/unit/nginx/test_files.c, tests/system/test_nginx_ports.py
 */
#ifndef HL_NGINX_PORTS_H
#define HL_NGINX_PORTS_H

#include "config/catalog.h"
#include "systemd/bus.h"

#include <stddef.h>
#include <stdint.h>

#define HL_NGINX_UNIT "nginx.service"

struct hl_nginx_listen {
        uint16_t first, last; /* ports: the same but where a range is given */
        char *address;        /* as it is written: "127.0.0.1:8080" */
        char *file;           /* where it is written */
        unsigned line;
};

struct hl_nginx_ports {
        struct hl_nginx_listen *items;
        size_t count;
};

void hl_nginx_ports_read(struct hl_nginx_ports *ret_ports);
void hl_nginx_ports_read_from(const char *conf, struct hl_nginx_ports *ret_ports);
void hl_nginx_ports_free(struct hl_nginx_ports *ports);

/* NULL where the port is not NGINX's. */
const struct hl_nginx_listen *hl_nginx_ports_find(const struct hl_nginx_ports *ports, uint16_t port);

/* Whether the address of a `listen` leads to other hosts: neither loopback nor a unix socket. */
bool hl_nginx_listen_open(const char *address);

/* Before a model is started. */
int hl_nginx_ports_check(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err);

#endif
