/* SPDX-License-Identifier: MIT */
/* listing.h - the names in a folder, read at once: who looks for each of many need not ask the kernel for each.
 *
 * Errors   none: of a folder that cannot be read any name may be there.
 * Owner    hl_listing_free(), also of one that is all zero, in which any name may be, too.
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_LISTING_H
#define HL_BASE_LISTING_H

#include <stdbool.h>
#include <stddef.h>

struct hl_listing {
        char **names; /* in the order of their bytes */
        size_t count;
        bool is_known;
};

struct hl_listing hl_listing_read(const char *folder);
bool hl_listing_may_have(const struct hl_listing *listing, const char *name);
void hl_listing_free(struct hl_listing *listing); /* for HL_CLEANUP, too */

#endif
