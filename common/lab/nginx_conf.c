#include "nginx_conf.h"

#include "inflight.h"

#include <stdio.h>
#include <string.h>

static const char heading[] = "# Made by nginx-config-updater of Home Lab Services from the models of this host, and "
                              "made anew when they change:\n"
                              "# what is written here by hand is lost.\n";

void hl_nginx_target(const char *address, uint16_t port, char target[static HL_NGINX_TARGET_SIZE])
{
        bool ipv6 = strchr(address, ':') != NULL;
        snprintf(target, HL_NGINX_TARGET_SIZE, "%s%s%s:%u", ipv6 ? "[" : "", address, ipv6 ? "]" : "", port);
}

bool hl_nginx_name_reserved(const char *name)
{
        return strcmp(name, "api") == 0 || strcmp(name, "v1") == 0;
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

/* By this address the kernel's word on a model's port says which requests are NGINX's: inflight.h. It is a loopback
 * address, which leads to models on loopback alone. */
static void add_location(struct hl_buf *out, const char *prefix, const char *name, const char *suffix,
                         const char *include, const char *target)
{
        hl_nginx_add_location(out, prefix, name, suffix, include, target);
        if (strncmp(target, "127.", 4) == 0)
                hl_buf_adds(out, "    proxy_bind " HL_INFLIGHT_NGINX_ADDRESS ";\n");
}

static void add_first(struct hl_buf *out, const char *prefix, const char *name, const char *suffix, const char *target)
{
        add_location(out, prefix, name, suffix, "first", target);
        hl_buf_addf(out, "    error_page 502 503 504 = @wake_%s;\n}\n", name);
}

static void add_model(struct hl_buf *out, const struct hl_model *model, const char *host)
{
        char target[HL_NGINX_TARGET_SIZE];
        hl_nginx_target(host, model->port, target);
        hl_buf_addf(out, "\n# %s\n", model->name);
        if (!hl_nginx_name_reserved(model->name))
                add_first(out, "/", model->name, "/", target);
        add_first(out, "@model_", model->name, "", target);
        hl_buf_addf(out,
                    "location @wake_%s {\n"
                    "    include home-lab-services/wake.conf;\n"
                    "    fastcgi_param HL_MODEL %s;\n"
                    "}\n",
                    model->name, model->name);
        add_location(out, "@run_", model->name, "", "model", target);
        hl_buf_adds(out, "    error_page 502 504 = @hl_cut;\n}\n");
}

void hl_nginx_conf(const struct hl_catalog *catalog, const char *host, struct hl_buf *out)
{
        hl_buf_adds(out, heading);
        for (size_t i = 0; i < catalog->count; i++)
                if (catalog->models[i].port)
                        add_model(out, &catalog->models[i], host);
}
