/* SPDX-License-Identifier: MIT */
#include "nginx/ports.h"
#include "base/err.h"
#include "base/mem.h"
#include "home-lab-services/holder.h"
#include "home-lab-services/product.h"
#include "models/states.h"
#include "parts.h"

#include <arpa/inet.h>
#include <string.h>

static void check_port_of(struct hl_check *c, const struct hl_nginx_ports *ports, const struct hl_model *model,
                          enum hl_unit_state active)
{
        const struct hl_nginx_listen *listen = hl_nginx_ports_find(ports, model->port);
        if (listen) {
                hl_check_problem(c, "%s: PORT %u is NGINX's (\"listen %s\", %s:%u): give the model another",
                                 model->file_path, model->port, listen->address, listen->file, listen->line);
                return;
        }
        if (active != HL_UNIT_INACTIVE && active != HL_UNIT_FAILED)
                return;
        HL_CLEANUP(hl_free_pointer) char *holder = hl_holder_of_port(model->port);
        if (!holder || hl_product_socket_of(model->port)) /* ours: said already */
                return;
        hl_check_note(c,
                      "%s does not run, and its port %u is held by %s: stop that, or give the model another PORT in %s",
                      model->name, model->port, holder, model->file_path);
}

/* Where a `listen` of NGINX's listens; false: it has a name, or a unix socket. */
static bool read_address(const struct hl_nginx_listen *listen, struct hl_listener *ret_place)
{
        const char *text = listen->address, *end = strrchr(text, ':');
        if (end && *text != '[' && strchr(text, ':') != end)
                return false;
        size_t len = end && !strchr(end, ']') ? (size_t)(end - text) : strlen(text);
        bool only_port = text[strspn(text, "0123456789")] == '\0';
        HL_CLEANUP(hl_free_pointer)
        char *address = only_port || strncmp(text, "*", len) == 0 ? hl_strdup("0.0.0.0")
                        : *text == '['                            ? hl_strndup(text + 1, strcspn(text + 1, "]"))
                                                                  : hl_strndup(text, len);
        *ret_place = (struct hl_listener){ .port = listen->first, .is_v6 = *text == '[' };
        return inet_pton(ret_place->is_v6 ? AF_INET6 : AF_INET, address, ret_place->address) == 1;
}

struct search {
        const struct hl_listener *place;
        bool found;
};

/* Where NGINX listens on all addresses, it listens on none of them besides. */
static void compare_place(void *data, const struct hl_listener *listener)
{
        static const uint8_t all[16];
        struct search *search = data;
        const uint8_t *wanted = search->place->address;
        search->found |=
                listener->is_v6 == search->place->is_v6 && (memcmp(listener->address, wanted, sizeof(all)) == 0 ||
                                                            memcmp(listener->address, all, sizeof(all)) == 0);
}

/* A reload that cannot have a new address leaves everything as it was, and only NGINX's log has a word of it. */
static void check_listens(struct hl_check *c, const struct hl_nginx_listen *listen)
{
        struct hl_listener place;
        struct search search = { .place = &place };
        struct hl_err ignored = { 0 };
        if (!read_address(listen, &place) ||
            hl_sockets_listeners(listen->first, compare_place, &search, &ignored) < 0 || search.found)
                return;
        hl_check_note(c,
                      "NGINX runs, and does not listen as \"listen %s\" says (%s:%u): systemctl reload nginx, and "
                      "restart nginx where a reload changes nothing",
                      listen->address, listen->file, listen->line);
}

/* A port that somebody else has on [::1] beside us: who says "localhost" asks there first. */
struct beside {
        struct hl_check *check;
        uint16_t port;
};

static void note_beside(void *data, const struct hl_listener *listener)
{
        static const uint8_t loopback[16] = { [15] = 1 };
        const struct beside *beside = data;
        if (!listener->is_v6 || memcmp(listener->address, loopback, sizeof(loopback)) != 0 || listener->uid == 0)
                return; /* systemd, and NGINX's master, are root */
        HL_CLEANUP(hl_free_pointer) char *holder = hl_holder_describe(listener);
        hl_check_note(beside->check, "[::1]:%u is held by %s, so \"localhost:%u\" leads there and not to us: stop that",
                      beside->port, holder, beside->port);
}

static void check_beside(struct hl_check *c, uint16_t port)
{
        struct beside beside = { c, port };
        struct hl_err ignored = { 0 };
        hl_sockets_listeners(port, note_beside, &beside, &ignored);
}

static void check_all_beside(struct hl_check *c, const struct hl_nginx_ports *ports)
{
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++)
                if (hl_product_units[i].port)
                        check_beside(c, hl_product_units[i].port);
        enum hl_unit_state nginx = HL_UNIT_INACTIVE;
        struct hl_err ignored = { 0 };
        hl_unit_state_of(&c->bus, HL_NGINX_UNIT, &nginx, &ignored);
        for (size_t i = 0; i < ports->count; i++) {
                if (!strstr(ports->items[i].file, "home-lab-services"))
                        continue;
                check_beside(c, ports->items[i].first);
                if (nginx == HL_UNIT_ACTIVE)
                        check_listens(c, &ports->items[i]);
        }
}

void hl_check_model_ports(struct hl_check *c)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports = { 0 };
        struct hl_err ignored = { 0 };
        hl_nginx_ports_read(&ports);
        check_all_beside(c, &ports);
        c->cause = CAUSE_MODELS;
        /* Both are said where the files are checked. */
        if (!c->config.models_dir || hl_catalog_load(&c->config, NULL, NULL, &catalog, &ignored) < 0)
                return;
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc((catalog.count + 1) * sizeof(*states));
        for (size_t i = 0; i < catalog.count; i++)
                states[i] = HL_UNIT_ACTIVE; /* where systemd cannot be asked, nobody is a stranger */
        hl_states_read(&c->bus, &c->config, &catalog, states, &ignored);
        for (size_t i = 0; i < catalog.count; i++)
                if (catalog.models[i].port)
                        check_port_of(c, &ports, &catalog.models[i], states[i]);
}
