/* SPDX-License-Identifier: MIT */
/* names.h - the names that a model file assigns, and what was meant by one that means nothing.
 *
 * Shape    a list of names with the line of each; small, so it is searched from end to end.
 * Owner    hl_names_free().
 * Tests    tests/unit/config/test_catalog.c
 */
#ifndef HL_CONFIG_NAMES_H
#define HL_CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct hl_names {
        struct hl_names_entry {
                char *name;
                unsigned line;
        } * entries;
        size_t count;
};

/* The line that assigned it before, or 0. */
unsigned hl_names_add(struct hl_names *names, const char *name, unsigned line);

/* The line that assigns it, or 0. */
unsigned hl_names_line(const struct hl_names *names, const char *name);

/* The line of a name that looks like key, or was meant for it, where key itself is not there; 0: none. */
unsigned hl_names_find_similar(const struct hl_names *names, const char *key, const char **ret_name);

/* Whether a value looks as if its writer expects a shell to expand it. A password may have any character, so the name
 * is of a kind for which that matters, or what the value names after a $ is one of `names`. */
bool hl_names_want_expansion(const struct hl_names *names, const char *name, const char *value);

void hl_names_free(struct hl_names *names);

#endif
