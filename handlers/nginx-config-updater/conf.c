/* SPDX-License-Identifier: MIT */
#include "conf.h"

#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "kernel/sockets.h"
#include "models/ready_mark.h"

#include <stdlib.h>
#include <string.h>

static const char heading[] = "# Made by nginx-config-updater of Home Lab Services from the models of this host, and "
                              "made anew when they change:\n"
                              "# what is written here by hand is lost.\n";

bool hl_nginx_name_reserved(const char *name)
{
        return hl_in_list("api,v1,models", name, strlen(name));
}

void hl_nginx_add_location(struct hl_buf *out, const char *prefix, const char *name, const char *suffix,
                           const char *include, const char *target)
{
        hl_buf_addf(out,
                    "location %s%s%s {\n"
                    "    include home-lab-services/%s.conf;\n"
                    "    set $hl_model %s;\n"
                    "    proxy_pass http://%s$hl_model_uri;\n",
                    prefix, name, suffix, include, name, target);
}

/* By this address the kernel's word on a model's port says which requests are NGINX's: sockets.h. It is a loopback
 * address, which leads to models on loopback alone. */
static void add_source(struct hl_buf *out, const char *host)
{
        if (strncmp(host, "127.", 4) == 0)
                hl_buf_adds(out, "    proxy_bind " HL_SOCKETS_NGINX_ADDRESS ";\n");
}

/* An upstream's name: of each address and port one, so that one that was written stays right when models change. */
static char *upstream_name(const char *host, uint16_t port)
{
        char *name = hl_format("hl_%s_%u", host, port);
        for (char *c = name; *c; c++)
                if (*c == ':') /* NGINX takes it for a port's */
                        *c = '_';
        return name;
}

/* Where systemd has the control group of a unit that runs, unless that says Slice=: "model@x.service" is in
 * "system-model.slice". In a slice's name, a prefix is escaped. */
static void add_control_group(struct hl_buf *out, const char *unit)
{
        hl_buf_adds(out, "/sys/fs/cgroup/system.slice/system-");
        for (const char *c = unit; *c && *c != '@'; c++)
                if (*c == '-')
                        hl_buf_adds(out, "\\\\x2d"); /* one backslash, as NGINX reads it */
                else
                        hl_buf_add(out, c, 1);
        hl_buf_addf(out, ".slice/%s", unit);
}

static void add_first(struct hl_buf *out, const struct hl_model *model, const char *upstream, const char *host)
{
        hl_buf_addf(out, "    proxy_pass http://%s$hl_model_uri;\n", upstream);
        add_source(out, host);
        hl_buf_addf(out, "    error_page 502 504 = @wake_%s;\n}\n", model->name);
}

/* What listens on the port of a model that does not run is not the model, and before that was seen ready, it need not
 * be. */
static void add_path(struct hl_buf *out, const struct hl_model *model, const char *upstream, const char *host)
{
        hl_buf_addf(out,
                    "location /%s/ {\n"
                    "    set $hl_model %s;\n"
                    "    if (!-d \"",
                    model->name, model->name);
        add_control_group(out, model->unit);
        hl_buf_addf(out,
                    "\") {\n"
                    "        set $hl_trusted 0;\n"
                    "    }\n"
                    "    if (!-f \"" HL_READY_FOLDER "/%s\") {\n"
                    "        set $hl_trusted 0;\n"
                    "    }\n"
                    "    if ($hl_asks) {\n"
                    "        rewrite ^ /hl_admit last;\n"
                    "    }\n"
                    "    include home-lab-services/first.conf;\n",
                    model->name);
        add_first(out, model, upstream, host);
}

static void add_model(struct hl_buf *out, const struct hl_model *model, const char *host)
{
        const char *name = model->name;
        char target[HL_HOST_PORT_SIZE];
        HL_CLEANUP(hl_free_pointer) char *upstream = upstream_name(host, model->port);
        hl_format_host_port(host, model->port, target);
        hl_buf_addf(out, "\n# %s\n", name);
        if (!hl_nginx_name_reserved(name))
                add_path(out, model, upstream, host);
        hl_buf_addf(out,
                    "location @model_%s {\n"
                    "    set $hl_model %s;\n"
                    "    include home-lab-services/first.conf;\n",
                    name, name);
        add_first(out, model, upstream, host);
        hl_buf_addf(out,
                    "location @wake_%s {\n"
                    "    set $hl_model %s;\n"
                    "    include home-lab-services/wake.conf;\n"
                    "    fastcgi_param HL_MODEL %s;\n"
                    "}\n",
                    name, name, name);
        hl_nginx_add_location(out, "@run_", name, "", "run", target);
        add_source(out, host);
        hl_buf_adds(out, "    error_page 502 504 = @hl_cut;\n}\n");
}

void hl_nginx_conf(const struct hl_config *config, const struct hl_catalog *catalog, bool site_password,
                   struct hl_buf *out)
{
        hl_buf_adds(out, heading);
        if (!config->models_need_token || config->trust_loopback)
                hl_buf_adds(out, "set $hl_trusted 1;\n");
        if (site_password)
                hl_buf_adds(out, "set $hl_site_password 1;\n");
        for (size_t i = 0; i < catalog->count; i++)
                if (catalog->models[i].port)
                        add_model(out, &catalog->models[i], config->upstream_host);
}

/* A server that says 503 while it loads is not the last one to be tried: the other one is no host at all, so that NGINX
 * comes to its own error, for which the request waits. */
#define NOWHERE "255.255.255.255:1"

static void add_upstream(struct hl_buf *out, const char *host, uint16_t port)
{
        char target[HL_HOST_PORT_SIZE];
        HL_CLEANUP(hl_free_pointer) char *name = upstream_name(host, port);
        hl_format_host_port(host, port, target);
        hl_buf_addf(out, "upstream %s { server %s max_fails=0; server " NOWHERE " backup; }\n", name, target);
}

void hl_nginx_upstreams(const struct hl_config *config, const struct hl_catalog *catalog, struct hl_buf *out)
{
        bool *wanted = hl_alloc((UINT16_MAX + 1) * sizeof(*wanted));
        hl_buf_adds(out, heading);
        for (size_t i = 0; i < catalog->count; i++)
                wanted[catalog->models[i].port] = true;
        for (unsigned port = 1; port <= UINT16_MAX; port++)
                if (wanted[port])
                        add_upstream(out, config->upstream_host, (uint16_t)port);
        free(wanted);
}

/* The next line of text behind *at, its line break included; 0: there is none. */
static size_t next_line(const struct hl_buf *text, size_t at)
{
        const char *end = at < text->len ? memchr(text->data + at, '\n', text->len - at) : NULL;
        return end ? (size_t)(end - text->data) + 1 - at : 0;
}

static bool has_line(const struct hl_buf *text, const char *line, size_t len)
{
        return text->len >= len && memmem(text->data, text->len, line, len);
}

bool hl_nginx_upstreams_cover(const struct hl_buf *have, const struct hl_buf *need)
{
        for (size_t at = 0, len; (len = next_line(need, at)) > 0; at += len)
                if (!has_line(have, need->data + at, len))
                        return false;
        return true;
}

/* Of a line that is a whole upstream, what says its name, up to the brace; 0: it is none. */
static size_t name_len(const char *line, size_t len)
{
        const char *brace = hl_has_prefix(line, "upstream hl_") ? memchr(line, '{', len) : NULL;
        return brace && line[len - 2] == '}' ? (size_t)(brace - line) + 1 : 0;
}

/* NGINX takes each name once. A former version, or a person, may have written something else behind it. */
void hl_nginx_upstreams_keep(const struct hl_buf *before, struct hl_buf *out)
{
        for (size_t at = 0, len; (len = next_line(before, at)) > 0; at += len) {
                size_t name = name_len(before->data + at, len);
                if (name > 0 && !has_line(out, before->data + at, name))
                        hl_buf_add(out, before->data + at, len);
        }
}
