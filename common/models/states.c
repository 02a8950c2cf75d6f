/* SPDX-License-Identifier: MIT */
#include "states.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct unit {
        char *name;
        enum hl_unit_state active;
};

struct units {
        struct unit *items;
        size_t count;
};

static void free_units(struct units *units)
{
        for (size_t i = 0; i < units->count; i++)
                free(units->items[i].name);
        free(units->items);
}

static void add(void *data, const char *name, enum hl_unit_state active, const char *sub)
{
        (void)sub;
        struct units *units = data;
        units->items = hl_grow(units->items, units->count + 1, sizeof(*units->items));
        units->items[units->count++] = (struct unit){ hl_strdup(name), active };
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct unit *)a)->name, ((const struct unit *)b)->name);
}

/* Of one model its unit's name, which has no wildcard in it. free() */
static char *pattern_of(const struct hl_config *config, const struct hl_catalog *catalog)
{
        return catalog->count == 1 ? hl_strdup(catalog->models[0].unit) : hl_config_units_pattern(config);
}

int hl_states_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                   enum hl_unit_state *ret_states, struct hl_err *err)
{
        HL_CLEANUP(free_units) struct units loaded = { 0 };
        if (catalog->count == 0)
                return 0;
        HL_CLEANUP(hl_free_pointer) char *pattern = pattern_of(config, catalog);
        int r = hl_units_each_loaded(bus, pattern, add, &loaded, err);
        if (r < 0)
                return r;
        if (loaded.count > 0)
                qsort(loaded.items, loaded.count, sizeof(*loaded.items), by_name);
        for (size_t i = 0; i < catalog->count; i++) {
                const struct unit wanted = { .name = catalog->models[i].unit };
                const struct unit *found =
                        loaded.count == 0 ? NULL
                                          : bsearch(&wanted, loaded.items, loaded.count, sizeof(wanted), by_name);
                ret_states[i] = found ? found->active : HL_UNIT_INACTIVE;
        }
        return 0;
}
