/* SPDX-License-Identifier: MIT */
#include "named.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void hl_router_named_free(struct hl_router_named *named)
{
        for (size_t i = 0; i < named->count; i++)
                hl_catalog_free(&named->models[i]);
        named->count = 0;
        free(hl_steal(named->config));
        hl_catalog_watch_end(&named->watch);
}

/* Begins anew where anything has happened. */
static void look(struct hl_router_named *named, const struct hl_config *config)
{
        if (named->config && strcmp(named->config, config->text) == 0 && named->count < HL_ROUTER_NAMED_MAX &&
            hl_catalog_watch_is_calm(&named->watch))
                return;
        hl_router_named_free(named);
        if (named->was_asked && !named->is_blind && hl_catalog_watch_begin(&named->watch, config->models_dir) == 0)
                named->config = hl_strdup(config->text);
        named->is_blind = named->was_asked && !named->config;
        named->was_asked = true;
}

static struct hl_catalog *find(struct hl_router_named *named, const char *name)
{
        for (size_t i = 0; i < named->count; i++)
                if (strcmp(named->models[i].models[0].name, name) == 0)
                        return &named->models[i];
        return NULL;
}

static bool watch(struct hl_router_named *named, const char *name)
{
        return named->config && hl_model_name_valid(name) && hl_catalog_watch_file(&named->watch, name) == 0;
}

int hl_router_named_load(struct hl_router_named *named, const struct hl_config *config, const char *name,
                         struct hl_catalog *ret_catalog, struct hl_err *err)
{
        look(named, config);
        struct hl_catalog *kept = find(named, name);
        if (kept) {
                *ret_catalog = hl_catalog_share(kept);
                return 0;
        }
        bool is_watched = watch(named, name); /* before it is read: what changes meanwhile is told at the next use */
        int r = hl_catalog_load_named(config, name, ret_catalog, err);
        if (r == 0 && is_watched && ret_catalog->count == 1 && strcmp(ret_catalog->models[0].name, name) == 0)
                named->models[named->count++] = hl_catalog_share(ret_catalog);
        return r;
}
