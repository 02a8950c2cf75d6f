/* SPDX-License-Identifier: MIT */
/* models/strays: which models run without a file, with a systemd of the test's own. */
#include "fake_bus.h"

#include "base/mem.h"
#include "models/strays.h"

#include <string.h>

static char told[256];

static void tell(void *data, const char *unit)
{
        must(data == told && strlen(told) + strlen(unit) + 2 < sizeof(told));
        strcat(strcat(told, unit), " ");
}

static int find(struct fake_host *host, const char *template)
{
        static char runs[] = "model@active-1.service", stopped[] = "model@inactive-9.service";
        char text[32];
        strcpy(text, template);
        static struct hl_model models[] = { { .unit = runs }, { .unit = stopped } };
        const struct hl_catalog catalog = { .models = models, .count = HL_COUNT(models) };
        const struct hl_config config = { .unit_template = text };
        *told = '\0';
        return hl_strays(&host->bus, &config, &catalog, tell, told, &host->err);
}

static void what_runs_without_a_file_is_a_stray(void **state)
{
        struct fake_host *host = *state;
        static const char *const loaded[] = { "model@active-1.service",     "model@active-2.service",
                                              "model@activating-3.service", "model@deactivating-4.service",
                                              "model@reloading-5.service",  "model@refreshing-6.service",
                                              "model@failed-7.service",     "model@inactive-8.service",
                                              "other@active-1.service",     NULL };
        host->systemd.loaded = loaded;
        assert_int_equal(find(host, "model@%s.service"), 0);
        assert_string_equal(told, "model@active-2.service model@activating-3.service model@deactivating-4.service "
                                  "model@reloading-5.service model@refreshing-6.service ");
        assert_int_equal(find(host, "other@%s.service"), 0);
        assert_string_equal(told, "other@active-1.service ");
}

static void where_systemd_does_not_say_nothing_is_known(void **state)
{
        struct fake_host *host = *state;
        host->systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(find(host, "model@%s.service") < 0);
        assert_string_equal(told, "");
        assert_int_not_equal(host->err.kind, HL_ERR_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_FAKE_HOST(what_runs_without_a_file_is_a_stray),
                ON_FAKE_HOST(where_systemd_does_not_say_nothing_is_known),
        };
        return cmocka_run_group_tests_name("strays", tests, NULL, NULL);
}
