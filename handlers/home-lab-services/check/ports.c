/* SPDX-License-Identifier: MIT */
#include "nginx/ports.h"
#include "base/err.h"
#include "base/mem.h"
#include "home-lab-services/holder.h"
#include "home-lab-services/product.h"
#include "models/states.h"
#include "parts.h"

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
        hl_check_line("note",
                      "%s does not run, and its port %u is held by %s: stop that, or give the model another PORT in %s",
                      model->name, model->port, holder, model->file_path);
        c->notes++;
}

void hl_check_model_ports(struct hl_check *c)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports = { 0 };
        struct hl_err ignored = { 0 };
        c->cause = CAUSE_MODELS;
        /* Both are said where the files are checked. */
        if (!c->config.models_dir || hl_catalog_load(&c->config, NULL, NULL, &catalog, &ignored) < 0)
                return;
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc((catalog.count + 1) * sizeof(*states));
        for (size_t i = 0; i < catalog.count; i++)
                states[i] = HL_UNIT_ACTIVE; /* where systemd cannot be asked, nobody is a stranger */
        hl_states_read(&c->bus, &c->config, &catalog, states, &ignored);
        hl_nginx_ports_read(&ports);
        for (size_t i = 0; i < catalog.count; i++)
                if (catalog.models[i].port)
                        check_port_of(c, &ports, &catalog.models[i], states[i]);
}
