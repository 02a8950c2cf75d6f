/* SPDX-License-Identifier: MIT */
/* catalog_watch.h - whether a folder of models and its files are as they were: for who keeps what he has read of them.
 *
 * Shape    a watch is on the folder, on its files, all or some, and on the mounts. Where the path to the folder and
 *          links in it lead, is looked up.
 * Errors   -errno where that cannot be told; then there is no watch, or the file of that name has none.
 * Owner    hl_catalog_watch_end(), also of none.
 * Source   inotify(7). Its queue may overflow, which is an event, too.
 * Tests    tests/unit/service/test_catalog_kept.c, tests/unit/model-router/test_named.c
 */
#ifndef HL_CONFIG_CATALOG_WATCH_H
#define HL_CONFIG_CATALOG_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* A path, and what is there: all of it is 0 if nothing. */
struct hl_catalog_place {
        char *path;
        struct stat status;
};

struct hl_catalog_watch {
        bool has_begun;
        int events_fd, mounts_fd;
        struct hl_catalog_place *places; /* the folder first, and then links and what may not be read */
        size_t count;
};

/* The folder, without its files. */
int hl_catalog_watch_begin(struct hl_catalog_watch *watch, const char *folder);

/* The file of this name, before it is read. There may be none. */
int hl_catalog_watch_file(struct hl_catalog_watch *watch, const char *name);

int hl_catalog_watch_all_files(struct hl_catalog_watch *watch);

/* Nothing has happened since it began. Where something has, a new one must begin. */
bool hl_catalog_watch_is_calm(const struct hl_catalog_watch *watch);

void hl_catalog_watch_end(struct hl_catalog_watch *watch);

#endif
