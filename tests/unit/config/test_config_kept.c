/* SPDX-License-Identifier: MIT */
/* config/config_kept: what has changed is seen at once, and what has not is not read again. */
#include "model_files.h"
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config_kept.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_NAME "config.json"

/* How much later it is than the files say: one that has just changed may change again, and look the same. */
static uint64_t later_us;

uint64_t __real_hl_clock_realtime(void);
uint64_t __wrap_hl_clock_realtime(void);
uint64_t __wrap_hl_clock_realtime(void)
{
        return __real_hl_clock_realtime() + later_us;
}

static void put(const char *folder, const char *name, int minutes)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("{\"shutdown\": {\"default_minutes\": %d}}", minutes);
        test_write(folder, name, text);
}

/* This is said, and so many files are read for it. */
static void expect(int minutes, unsigned reads)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        struct hl_err err = { 0 };
        unsigned before = test_reads;
        assert_int_equal(hl_config_kept_load(&config, &err), 0);
        assert_int_equal((int)config.default_minutes, minutes);
        assert_int_equal(test_reads - before, reads);
}

static void expect_new(int minutes)
{
        expect(minutes, 1);
        expect(minutes, 0);
}

static void what_changes_is_read_again(void **state)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_strdup(test_path(*state, FILE_NAME));
        later_us = 2 * HL_USEC_PER_SEC;
        expect_new(1); /* without a file */
        put(*state, FILE_NAME, 5);
        expect_new(5);
        put(*state, "new", 6);
        must(rename(test_path(*state, "new"), path) == 0);
        expect_new(6);
        put(*state, "elsewhere", 7);
        must(unlink(path) == 0 && symlink("elsewhere", path) == 0);
        expect_new(7);
        put(*state, "elsewhere", 10);
        expect_new(10);
        must(unlink(path) == 0);
        expect_new(1);
        struct hl_config config = { 0 };
        struct hl_err err = { 0 };
        must(symlink("nowhere", path) == 0); /* not the same as no file */
        assert_int_equal(hl_config_kept_load(&config, &err), -EINVAL);
}

static void what_has_just_changed_is_not_kept(void **state)
{
        later_us = 0;
        for (int minutes = 10; minutes < 30; minutes++) {
                put(*state, FILE_NAME, minutes); /* as soon, and as long */
                expect(minutes, 1);
                expect(minutes, 1);
        }
}

static void a_wrong_file_is_none(void **state)
{
        struct hl_config config = { 0 };
        struct hl_err err = { 0 };
        later_us = 2 * HL_USEC_PER_SEC;
        put(*state, FILE_NAME, 5);
        expect_new(5);
        test_write(*state, FILE_NAME, "{");
        for (int i = 0; i < 2; i++)
                assert_int_equal(hl_config_kept_load(&config, &err), -EINVAL);
        put(*state, FILE_NAME, 16);
        expect_new(16);
}

static void who_has_it_keeps_it(void **state)
{
        HL_CLEANUP(hl_config_free) struct hl_config one = { 0 }, two = { 0 };
        struct hl_err err = { 0 };
        later_us = 2 * HL_USEC_PER_SEC;
        test_write(*state, FILE_NAME, "{\"shutdown\": {\"default_action\": \"reboot\"}}");
        assert_int_equal(hl_config_kept_load(&one, &err), 0);
        assert_int_equal(hl_config_kept_load(&two, &err), 0);
        hl_config_free(&one);
        put(*state, FILE_NAME, 5);
        expect_new(5);
        assert_string_equal(two.default_action, "reboot");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_folder(what_changes_is_read_again),
                with_folder(what_has_just_changed_is_not_kept),
                with_folder(a_wrong_file_is_none),
                with_folder(who_has_it_keeps_it),
        };
        return cmocka_run_group_tests_name("config_kept", tests, NULL, NULL);
}
