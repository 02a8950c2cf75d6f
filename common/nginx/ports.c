/* SPDX-License-Identifier: MIT */
#include "ports.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "files.h"
#include "kernel/sockets.h"
#include "systemd/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PORT "80"    /* NGINX's own, of a `listen` without a port and of a server without a `listen` */
#define IPV4_LOOPBACK "127." /* 127.0.0.0/8 */
#define IPV6_LOOPBACK "[::1]"

/* What the walk knows of the server that it is in. */
struct collecting {
        struct hl_nginx_ports *ports;
        unsigned depth;
        unsigned server_depth; /* 0: in none */
        bool has_listen;
};

/* "8080", "8080-8090". */
static bool parse_ports(const char *text, struct hl_nginx_listen *listen)
{
        const char *dash = strchr(text, '-');
        HL_CLEANUP(hl_free_pointer) char *first = dash ? hl_strndup(text, (size_t)(dash - text)) : hl_strdup(text);
        uint64_t from, to;
        if (hl_parse_uint(first, UINT16_MAX, &from) < 0 || hl_parse_uint(dash ? dash + 1 : text, UINT16_MAX, &to) < 0)
                return false;
        listen->first = (uint16_t)from;
        listen->last = (uint16_t)to;
        return true;
}

/* An address, a port, or both. A name and an address may look like a port as little as an IPv6 address does: that
 * stands in brackets. */
static bool parse_address(const char *address, struct hl_nginx_listen *listen)
{
        const char *colon = strrchr(address, ':'), *bracket = strrchr(address, ']');
        if (hl_has_prefix(address, "unix:"))
                return false;
        if (colon && (!bracket || colon > bracket))
                return parse_ports(colon + 1, listen);
        return parse_ports(address, listen) || parse_ports(DEFAULT_PORT, listen);
}

static void add(struct hl_nginx_ports *ports, const struct hl_nginx_directive *directive, const char *address)
{
        struct hl_nginx_listen listen = { 0 };
        for (size_t i = 2; i < directive->count; i++)
                if (strcmp(directive->words[i], "udp") == 0 || strcmp(directive->words[i], "quic") == 0)
                        return;
        if (!parse_address(address, &listen))
                return;
        listen.address = hl_strdup(address);
        listen.file = hl_strdup(directive->file);
        listen.line = directive->line;
        ports->items = hl_grow(ports->items, ports->count + 1, sizeof(listen));
        ports->items[ports->count++] = listen;
}

static void collect(void *data, const struct hl_nginx_directive *directive)
{
        struct collecting *c = data;
        const char *name = directive->count ? directive->words[0] : "";
        if (directive->block) {
                c->depth++;
                if (strcmp(name, "server") == 0) {
                        c->server_depth = c->depth;
                        c->has_listen = false;
                }
        } else if (directive->count == 0) {
                if (c->server_depth && c->depth == c->server_depth) {
                        if (!c->has_listen)
                                add(c->ports, directive, DEFAULT_PORT);
                        c->server_depth = 0;
                }
                c->depth -= c->depth > 0;
        } else if (directive->count > 1 && strcmp(name, "listen") == 0) {
                c->has_listen = true;
                add(c->ports, directive, directive->words[1]);
        }
}

void hl_nginx_ports_read_from(const char *conf, struct hl_nginx_ports *ret_ports)
{
        *ret_ports = (struct hl_nginx_ports){ 0 };
        struct collecting collecting = { .ports = ret_ports };
        hl_nginx_files_walk(conf, collect, &collecting);
}

/* A configuration may outlive its NGINX, and is nobody's then. */
void hl_nginx_ports_read(struct hl_nginx_ports *ret_ports)
{
        *ret_ports = (struct hl_nginx_ports){ 0 };
        if (access(HL_NGINX_PROGRAM, X_OK) == 0)
                hl_nginx_ports_read_from(HL_NGINX_CONF, ret_ports);
}

void hl_nginx_ports_free(struct hl_nginx_ports *ports)
{
        for (size_t i = 0; i < ports->count; i++) {
                free(ports->items[i].address);
                free(ports->items[i].file);
        }
        free(ports->items);
        *ports = (struct hl_nginx_ports){ 0 };
}

const struct hl_nginx_listen *hl_nginx_ports_find(const struct hl_nginx_ports *ports, uint16_t port)
{
        for (size_t i = 0; i < ports->count; i++)
                if (port >= ports->items[i].first && port <= ports->items[i].last)
                        return &ports->items[i];
        return NULL;
}

bool hl_nginx_listen_open(const char *address)
{
        return !hl_has_prefix(address, "unix:") && !hl_has_prefix(address, IPV4_LOOPBACK) &&
               !hl_has_prefix(address, IPV6_LOOPBACK) && !hl_has_prefix(address, "localhost");
}

/* What it took up before its files were changed. A host without control groups that the kernel knows has no answer. */
static bool listens_now(struct hl_bus *bus, uint16_t port)
{
        struct hl_err ignored = { 0 };
        struct hl_listener somebody;
        uint64_t cgroup = 0;
        return hl_sockets_listener(port, &somebody, &ignored) > 0 &&
               hl_units_cgroup(bus, HL_NGINX_UNIT, &cgroup, &ignored) == 0 && cgroup != 0 &&
               hl_sockets_listens(port, cgroup, &ignored) > 0;
}

int hl_nginx_ports_check(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
        hl_nginx_ports_read(&ports);
        const struct hl_nginx_listen *listen = hl_nginx_ports_find(&ports, model->port);
        if (listen)
                return hl_fail(err, HL_ERR_CONFLICT, EADDRINUSE, "port_in_use",
                               "port %u is NGINX's (\"listen %s\", %s:%u): give %s another PORT in %s", model->port,
                               listen->address, listen->file, listen->line, model->name, model->file_path);
        if (listens_now(bus, model->port))
                return hl_fail(err, HL_ERR_CONFLICT, EADDRINUSE, "port_in_use",
                               "port %u is NGINX's, which listens on it: give %s another PORT in %s", model->port,
                               model->name, model->file_path);
        return 0;
}
