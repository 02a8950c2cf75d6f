/* SPDX-License-Identifier: MIT */
#include "strays.h"

#include "base/mem.h"

#include <string.h>

struct strays {
        const struct hl_catalog *catalog;
        hl_stray_fn *each;
        void *data;
};

static void on_loaded(void *data, const char *unit, enum hl_unit_state active, const char *sub)
{
        (void)sub;
        const struct strays *s = data;
        if (active == HL_UNIT_INACTIVE || active == HL_UNIT_FAILED)
                return;
        for (size_t i = 0; i < s->catalog->count; i++)
                if (strcmp(s->catalog->models[i].unit, unit) == 0)
                        return;
        s->each(s->data, unit);
}

int hl_strays(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog, hl_stray_fn *each,
              void *data, struct hl_err *err)
{
        struct strays strays = { .catalog = catalog, .each = each, .data = data };
        HL_CLEANUP(hl_free_pointer) char *pattern = hl_config_units_pattern(config);
        return hl_units_each_loaded(bus, pattern, on_loaded, &strays, err);
}
