/* SPDX-License-Identifier: MIT */
/* models/states: what is loaded and what is not, with a systemd of the test's own. */
#include "fake_bus.h"

#include "base/mem.h"
#include "models/states.h"

#include <string.h>

static char last[] = "model@inactive-4.service"; /* which systemd does not know */
static struct hl_model models[] = {
        { .unit = (char[]){ "model@failed-3.service" } },       { .unit = (char[]){ "model@active-1.service" } },
        { .unit = (char[]){ "model@deactivating-2.service" } }, { .unit = (char[]){ "model@activating-5.service" } },
        { .unit = (char[]){ "model@inactive-6.service" } },     { .unit = last },
};
static const struct hl_config config = { .unit_template = "model@%s.service" };

static int ask(struct fake_host *host, size_t count, enum hl_unit_state *states)
{
        const struct hl_catalog catalog = { .models = models, .count = count };
        return hl_states_read(&host->bus, &config, &catalog, states, &host->err);
}

static void what_is_loaded_has_its_state_and_the_rest_does_not_run(void **state)
{
        struct fake_host *host = *state;
        static const char *const loaded[] = { "model@active-1.service",     "model@active-7.service",
                                              "model@inactive-6.service",   "other@active-9.service",
                                              "model@failed-3.service",     "model@deactivating-2.service",
                                              "model@activating-5.service", NULL };
        static const enum hl_unit_state expected[] = { HL_UNIT_FAILED,   HL_UNIT_ACTIVE,   HL_UNIT_STOPPING,
                                                       HL_UNIT_STARTING, HL_UNIT_INACTIVE, HL_UNIT_INACTIVE };
        enum hl_unit_state states[HL_COUNT(models)];
        host->systemd.loaded = loaded;
        assert_int_equal(ask(host, HL_COUNT(models), states), 0);
        assert_int_equal(host->bus.calls, 1);
        for (size_t i = 0; i < HL_COUNT(models); i++)
                assert_int_equal(states[i], expected[i]);
        assert_int_equal(fake_count(&host->fake, "ListUnitsByPatterns"), 1);
}

static void where_nothing_is_loaded_nothing_runs(void **state)
{
        struct fake_host *host = *state;
        static const char *const loaded[] = { NULL };
        enum hl_unit_state states[HL_COUNT(models)];
        host->systemd.loaded = loaded;
        assert_int_equal(ask(host, HL_COUNT(models), states), 0);
        for (size_t i = 0; i < HL_COUNT(models); i++)
                assert_int_equal(states[i], HL_UNIT_INACTIVE);
}

static void one_model_is_asked_for_by_its_name(void **state)
{
        struct fake_host *host = *state;
        enum hl_unit_state active;
        assert_int_equal(ask(host, 1, &active), 0);
        assert_int_equal(active, HL_UNIT_FAILED);
}

static void no_models_take_no_call(void **state)
{
        struct fake_host *host = *state;
        assert_int_equal(ask(host, 0, NULL), 0);
        assert_int_equal(host->bus.calls, 0);
        assert_null(host->bus.bus);
}

static void where_systemd_does_not_say_nothing_is_known(void **state)
{
        struct fake_host *host = *state;
        enum hl_unit_state states[HL_COUNT(models)] = { HL_UNIT_STOPPING };
        host->systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(ask(host, HL_COUNT(models), states) < 0);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
        assert_int_equal(states[0], HL_UNIT_STOPPING);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_FAKE_HOST(what_is_loaded_has_its_state_and_the_rest_does_not_run),
                ON_FAKE_HOST(where_nothing_is_loaded_nothing_runs),
                ON_FAKE_HOST(one_model_is_asked_for_by_its_name),
                ON_FAKE_HOST(no_models_take_no_call),
                ON_FAKE_HOST(where_systemd_does_not_say_nothing_is_known),
        };
        return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
