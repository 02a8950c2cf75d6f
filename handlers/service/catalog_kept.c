/* SPDX-License-Identifier: MIT */
#include "catalog_kept.h"

#include "base/mem.h"
#include "config/catalog_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool asked_before;
static struct {
        struct hl_catalog catalog;
        char *config; /* what it was read for; NULL: there is none */
        struct hl_catalog_watch watch;
} kept;

static void forget(void)
{
        hl_catalog_free(&kept.catalog);
        free(hl_steal(kept.config));
        hl_catalog_watch_end(&kept.watch);
}

/* The watch begins before the files are read: what changes meanwhile is told at the next use. */
static int load(const struct hl_config *config, struct hl_catalog *ret_catalog, struct hl_err *err)
{
        forget();
        bool watched = asked_before && hl_catalog_watch_begin(&kept.watch, config->models_dir) == 0 &&
                       hl_catalog_watch_all_files(&kept.watch) == 0;
        int r = hl_catalog_load(config, NULL, NULL, ret_catalog, err);
        if (r == 0 && watched) {
                kept.catalog = hl_catalog_share(ret_catalog);
                kept.config = hl_strdup(config->text);
        } else {
                hl_catalog_watch_end(&kept.watch);
        }
        asked_before = true;
        return r;
}

int hl_catalog_kept_load(const struct hl_config *config, struct hl_catalog *ret_catalog, struct hl_err *err)
{
        int r = 0;
        pthread_mutex_lock(&mutex);
        if (kept.config && strcmp(kept.config, config->text) == 0 && hl_catalog_watch_is_calm(&kept.watch))
                *ret_catalog = hl_catalog_share(&kept.catalog);
        else
                r = load(config, ret_catalog, err);
        pthread_mutex_unlock(&mutex);
        return r;
}
