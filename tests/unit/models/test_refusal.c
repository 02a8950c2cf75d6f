/* SPDX-License-Identifier: MIT */
/* models/refusal: a start that the gate has refused, and one that has failed. */
#include "fake_bus.h"

#include "base/mem.h"
#include "models/refusal.h"

#include <errno.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

struct refusal {
        struct fake_host host;
        struct hl_config config;
        struct hl_catalog catalog;
        void *folder;
        unsigned doubts;
};

static struct refusal test;

static int setup(void **state)
{
        struct hl_err err = { 0 };
        test = (struct refusal){ 0 };
        must(test_folder_setup(&test.folder) == 0);
        test_write(test.folder, "config.json", "{\"capacity\": {\"gpus\": {\"0\": \"23G\"}}}");
        test_write(test.folder, "models/inactive-1", "PORT=1\nGPU_MEMORY=18G\n");
        test_write(test.folder, "models/active-2", "PORT=2\nGPU_MEMORY=20G\n");
        must(hl_config_load(NULL, &test.config, &err) == 0);
        must(hl_catalog_load(&test.config, "inactive-1", NULL, &test.catalog, &err) == 0 && test.catalog.count == 1);
        fake_host_start(&test.host, &(struct fake_systemd){ 0 });
        *state = &test;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        fake_host_stop(&test.host);
        hl_catalog_free(&test.catalog);
        hl_config_free(&test.config);
        return test_folder_teardown(&test.folder);
}

static const struct hl_err start_failed = { HL_ERR_UPSTREAM, EIO, "start_failed", "starting it failed" };

static int tell(struct hl_err *err)
{
        return hl_refusal_tell(&test.host.bus, &test.config, &test.catalog.models[0], &test.doubts, err);
}

static void what_does_not_fit_was_refused(void **state)
{
        (void)state;
        static const char *const results[] = { "exec-condition", "success" }; /* systemd has forgotten */
        static const char *const loaded[] = { "model@active-2.service", NULL };
        test.host.systemd.loaded = loaded;
        for (size_t i = 0; i < HL_COUNT(results); i++) {
                struct hl_err err = start_failed;
                test.host.systemd.result = results[i];
                assert_int_equal(tell(&err), -EAGAIN);
                assert_string_equal(err.code, "no_capacity");
                assert_string_equal(err.message, "gpu 0 has 23 GiB: active-2 (20 GiB); inactive-1 needs 18 GiB");
        }
}

static void what_fits_by_now_is_told_where_systemd_remembers(void **state)
{
        (void)state;
        static const char *const loaded[] = { NULL };
        struct hl_err err = start_failed;
        test.host.systemd.loaded = loaded;
        test.host.systemd.result = "exec-condition";
        assert_int_equal(tell(&err), -EAGAIN);
        assert_string_equal(err.code, "no_capacity");
        assert_non_null(strstr(err.message, "there was no room for inactive-1 when it was to start"));
}

/* It was refused, and there is room by now; or it has ended by itself, and does so each time. */
static void what_may_have_been_refused_is_so_some_times(void **state)
{
        (void)state;
        static const char *const loaded[] = { NULL };
        test.host.systemd.loaded = loaded;
        test.host.systemd.result = "success";
        for (unsigned i = 0; i <= HL_REFUSAL_DOUBTS_MAX; i++) {
                struct hl_err err = start_failed;
                bool is_last = i == HL_REFUSAL_DOUBTS_MAX;
                assert_int_equal(tell(&err), is_last ? 0 : -EAGAIN);
                assert_string_equal(err.code, is_last ? "start_failed" : "no_capacity");
        }
}

static void other_failures_stay(void **state)
{
        (void)state;
        static const char *const loaded[] = { "model@active-2.service", NULL };
        struct hl_err err = start_failed;
        test.host.systemd.loaded = loaded;
        test.host.systemd.result = "exit-code";
        assert_int_equal(tell(&err), 0);
        test.host.systemd.result = "exec-condition";
        test.host.systemd.state_after = "active"; /* somebody else has started it since */
        assert_int_equal(tell(&err), 0);
        assert_string_equal(err.code, "start_failed");

        test.host.systemd.state_after = NULL;
        err = (struct hl_err){ HL_ERR_TIMEOUT, ETIMEDOUT, "still_working", "" };
        assert_int_equal(tell(&err), 0);
        test.catalog.models[0].claim.bytes[0] = 0; /* its unit has a condition of its own */
        err = start_failed;
        unsigned calls = test.host.bus.calls;
        assert_int_equal(tell(&err), 0);
        assert_int_equal(test.host.bus.calls, calls);
}

#define WITH_FOLDER(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_FOLDER(what_does_not_fit_was_refused),
                WITH_FOLDER(what_fits_by_now_is_told_where_systemd_remembers),
                WITH_FOLDER(what_may_have_been_refused_is_so_some_times),
                WITH_FOLDER(other_failures_stay),
        };
        return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
