/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

struct hl_listing hl_listing_read(const char *folder)
{
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(folder);
        struct hl_listing listing = { 0 };
        const struct dirent *entry;
        while (dir && (errno = 0, entry = readdir(dir))) {
                listing.names = hl_grow(listing.names, listing.count + 1, sizeof(*listing.names));
                listing.names[listing.count++] = hl_strdup(entry->d_name);
        }
        listing.is_known = dir && errno == 0;
        if (listing.count > 0)
                qsort(listing.names, listing.count, sizeof(*listing.names), by_name);
        return listing;
}

bool hl_listing_may_have(const struct hl_listing *listing, const char *name)
{
        return !listing->is_known ||
               (listing->count > 0 && bsearch(&name, listing->names, listing->count, sizeof(*listing->names), by_name));
}

void hl_listing_free(struct hl_listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->names[i]);
        free(listing->names);
        *listing = (struct hl_listing){ 0 };
}
