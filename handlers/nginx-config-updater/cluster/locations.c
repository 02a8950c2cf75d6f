/* SPDX-License-Identifier: MIT */
#include "locations.h"

#include "base/mem.h"
#include "base/str.h"
#include "nginx-config-updater/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_SIZE (2 * HL_MODEL_NAME_MAX + 1)

/* A model on one of its hosts. */
struct server {
        const struct hl_fleet_model *model;
        size_t host; /* its index */
};

static int by_name_and_host(const void *a, const void *b)
{
        const struct server *x = a, *y = b;
        int names = strcmp(x->model->name, y->model->name);
        return names ? names : (x->host > y->host) - (x->host < y->host);
}

/* A model's name as part of an upstream's. NGINX compares those without regard to case and takes ":" for a port's, so
 * "A" is written "_a", ":" is "_1", and "_" itself is "_0": no two names become one. */
static void write_label(const char *name, char label[static LABEL_SIZE])
{
        for (; *name; name++) {
                char c = *name == '_' ? '0' : *name == ':' ? '1' : (char)tolower((unsigned char)*name);
                if (c != *name)
                        *label++ = '_';
                *label++ = c;
        }
        *label = '\0';
}

/* A server that failed is tried again at once, not after ten seconds: it may just have been started. */
static void add_upstream(struct hl_buf *out, const struct hl_fleet *fleet, const char *kind, const char *label,
                         const struct server *servers, size_t count, bool models)
{
        hl_buf_addf(out, "upstream hl_%s_%s {\n", kind, label);
        for (size_t i = 0; i < count; i++) {
                const struct hl_fleet_host *host = &fleet->hosts[servers[i].host];
                char target[HL_HOST_PORT_SIZE];
                hl_format_host_port(host->address, models ? servers[i].model->port : host->port, target);
                hl_buf_addf(out, "    server %s max_fails=0;\n", target);
        }
        hl_buf_adds(out, "}\n");
}

/* One that passes a request to `target`, without its last lines and closing brace. */
static void add_location(struct hl_buf *out, const char *prefix, const char *name, const char *suffix,
                         const char *include, const char *target)
{
        hl_buf_addf(out,
                    "location %s%s%s {\n"
                    "    include home-lab-services/%s.conf;\n"
                    "    set $hl_model %s;\n"
                    "    proxy_pass http://%s$hl_model_uri;\n",
                    prefix, name, suffix, include, name, target);
}

static void add_model(struct hl_buf *out, const char *name, const char *label, const struct server *servers,
                      size_t count)
{
        HL_CLEANUP(hl_free_pointer) char *upstream = hl_format("hl_model_%s", label);
        add_location(out, "/", name, "/", "first", upstream);
        for (size_t i = 0; i < count; i++)
                hl_buf_addf(out, "    mirror /_home-lab-services/report/%zu/%s;\n", servers[i].host, name);
        hl_buf_addf(out, "    error_page 502 503 504 = @wake_%s;\n}\n", name);
        add_location(out, "@wake_", name, "", "again", upstream);
        hl_buf_addf(out,
                    "    auth_request /_home-lab-services/start/%s;\n"
                    "}\n"
                    "location = /_home-lab-services/start/%s {\n"
                    "    include home-lab-services/start.conf;\n"
                    "    proxy_pass http://hl_start_%s/models/%s/start?wait=ready;\n"
                    "}\n",
                    name, name, label, name);
}

static void add_host(struct hl_buf *out, const struct hl_fleet_host *host, size_t index)
{
        char target[HL_HOST_PORT_SIZE];
        hl_format_host_port(host->address, HL_MONITOR_PORT, target);
        hl_buf_addf(out,
                    "\n# %s\n"
                    "location ~ ^/_home-lab-services/report/%zu/(?<hl_reported>.+)$ {\n"
                    "    include home-lab-services/report.conf;\n"
                    "    proxy_pass http://%s/models/$hl_reported/report;\n"
                    "}\n",
                    host->url, index, target);
}

void hl_nginx_fleet(const struct hl_fleet *fleet, struct hl_buf *upstreams, struct hl_buf *locations)
{
        size_t count = 0, total = 0;
        for (size_t i = 0; i < fleet->count; i++)
                total += fleet->hosts[i].count;
        HL_CLEANUP(hl_free_pointer) struct server *servers = hl_alloc((total + 1) * sizeof(*servers));
        for (size_t i = 0; i < fleet->count; i++)
                for (size_t k = 0; k < fleet->hosts[i].count; k++)
                        servers[count++] = (struct server){ .model = &fleet->hosts[i].models[k], .host = i };
        qsort(servers, count, sizeof(*servers), by_name_and_host);

        for (size_t i = 0; i < fleet->count; i++)
                if (fleet->hosts[i].count)
                        add_host(locations, &fleet->hosts[i], i);
        for (size_t first = 0, next; first < count; first = next) {
                const char *name = servers[first].model->name;
                for (next = first + 1; next < count && strcmp(servers[next].model->name, name) == 0;)
                        next++;
                hl_buf_addf(locations, "\n# %s\n", name);
                if (hl_nginx_name_reserved(name)) {
                        hl_buf_adds(locations,
                                    "# This is a path of the hosts' own: the model cannot be reached here.\n");
                        continue;
                }
                char label[LABEL_SIZE];
                write_label(name, label);
                add_upstream(upstreams, fleet, "model", label, servers + first, next - first, true);
                add_upstream(upstreams, fleet, "start", label, servers + first, next - first, false);
                add_model(locations, name, label, servers + first, next - first);
        }
}
