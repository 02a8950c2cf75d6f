/* SPDX-License-Identifier: MIT */
#include "strays.h"

#include "base/mem.h"

#include <string.h>

struct strays {
        const struct hl_catalog *catalog;
        hl_unit_fn *each;
        void *data;
};

static void on_running(void *data, const char *unit)
{
        const struct strays *s = data;
        for (size_t i = 0; i < s->catalog->count; i++)
                if (strcmp(s->catalog->models[i].unit, unit) == 0)
                        return;
        s->each(s->data, unit);
}

int hl_strays(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog, hl_unit_fn *each,
              void *data, struct hl_err *err)
{
        struct strays strays = { .catalog = catalog, .each = each, .data = data };
        const char *template = config->unit_template, *hole = strstr(template, "%s");
        HL_CLEANUP(hl_free_pointer)
        char *pattern = hl_format("%.*s*%s", (int)(hole - template), template, hole + 2);
        return hl_units_each_running(bus, pattern, on_running, &strays, err);
}
