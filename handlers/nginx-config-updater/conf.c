/* SPDX-License-Identifier: MIT */
#include "conf.h"

#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "kernel/sockets.h"

#include <stdlib.h>
#include <string.h>

static const char heading[] = "# Made by nginx-config-updater of Home Lab Services from the models of this host, and "
                              "made anew when they change:\n"
                              "# what is written here by hand is lost.\n";

bool hl_nginx_name_reserved(const char *name)
{
        return hl_in_list("api,v1,models", name, strlen(name));
}

/* What an upstream's name has behind its port: of each address and port there is one, so that one that was written
 * stays right when models change. */
static char *address_label(const char *host)
{
        char *label = hl_format("hl_%s", host);
        for (char *c = label; *c; c++)
                if (*c == ':') /* NGINX takes it for a port's */
                        *c = '_';
        return label;
}

/* By this address the kernel's word on a model's port says which requests are NGINX's: sockets.h. It is a loopback
 * address, which leads to models on loopback alone. */
static void add_address(struct hl_buf *out, const char *host)
{
        HL_CLEANUP(hl_free_pointer) char *label = address_label(host);
        hl_buf_addf(out, "set $hl_address %s;\n", label);
        if (strncmp(host, "127.", 4) == 0)
                hl_buf_adds(out, "set $hl_source " HL_SOCKETS_NGINX_ADDRESS ";\n");
}

/* Where systemd has the control groups of units that run, unless they say Slice=: "model@x.service" is in
 * "system-model.slice". In a slice's name, a prefix is escaped. */
static void add_control_groups(struct hl_buf *out, const char *template)
{
        int len = (int)strcspn(template, "@");
        hl_buf_adds(out, "set $hl_group \"/sys/fs/cgroup/system.slice/system-");
        for (const char *c = template; *c != '@'; c++)
                if (*c == '-')
                        hl_buf_adds(out, "\\\\x2d"); /* one backslash, as NGINX reads it */
                else
                        hl_buf_add(out, c, 1);
        hl_buf_addf(out, ".slice/%.*s@\";\n", len, template);
}

/* All that is a model's own stands here, and everything else in what is included: 10,000 models are 10,000 lines. */
static void add_model(struct hl_buf *out, const struct hl_model *model)
{
        if (!hl_nginx_name_reserved(model->name))
                hl_buf_addf(out,
                            "location /%s/ { set $hl_model %s; set $hl_model_port %u; "
                            "include home-lab-services/named.conf; }\n",
                            model->name, model->name, model->port);
}

void hl_nginx_conf(const struct hl_config *config, const struct hl_catalog *catalog, bool site_password,
                   struct hl_buf *out)
{
        hl_buf_adds(out, heading);
        if (!config->models_need_token || config->trust_loopback)
                hl_buf_adds(out, "set $hl_trusted 1;\n");
        if (site_password)
                hl_buf_adds(out, "set $hl_site_password 1;\n");
        add_address(out, config->upstream_host);
        add_control_groups(out, config->unit_template);
        for (size_t i = 0; i < catalog->count; i++)
                if (catalog->models[i].port)
                        add_model(out, &catalog->models[i]);
}

/* A server that says 503 while it loads is not the last one to be tried: the other one is no host at all, so that NGINX
 * comes to its own error, for which the request waits. */
#define NOWHERE "255.255.255.255:1"

/* NGINX compares each name with all others: the first bytes are those that differ. */
static void add_upstream(struct hl_buf *out, const char *host, const char *label, uint16_t port)
{
        char target[HL_HOST_PORT_SIZE];
        hl_format_host_port(host, port, target);
        hl_buf_addf(out,
                    "upstream %u_%s { server %s max_fails=0; server " NOWHERE " backup; keepalive 32; "
                    "keepalive_timeout %dms; }\n",
                    port, label, target, HL_SOCKETS_NGINX_KEPT_MS);
}

void hl_nginx_upstreams(const struct hl_config *config, const struct hl_catalog *catalog, struct hl_buf *out)
{
        bool *wanted = hl_alloc((UINT16_MAX + 1) * sizeof(*wanted));
        HL_CLEANUP(hl_free_pointer) char *label = address_label(config->upstream_host);
        hl_buf_adds(out, heading);
        for (size_t i = 0; i < catalog->count; i++)
                wanted[catalog->models[i].port] = true;
        for (unsigned port = 1; port <= UINT16_MAX; port++)
                if (wanted[port])
                        add_upstream(out, config->upstream_host, label, (uint16_t)port);
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
        const char *brace = hl_has_prefix(line, "upstream ") ? memchr(line, '{', len) : NULL;
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
