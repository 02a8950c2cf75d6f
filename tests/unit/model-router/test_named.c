/* SPDX-License-Identifier: MIT */
/* model-router/named: what has changed is seen at once, what has not is not read again, and nobody else's file is. */
#include "model_files.h"
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model-router/named.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The port of who goes by this name, -1: nobody; and how many files were read for it. */
static int ask(struct hl_router_named *named, const char *folder, const char *name, unsigned *ret_reads)
{
        const struct hl_config config = test_models_config(folder);
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        unsigned before = test_reads;
        assert_int_equal(hl_router_named_load(named, &config, name, &catalog, &err), 0);
        *ret_reads = test_reads - before;
        return catalog.count == 1 ? catalog.models[0].port : -1;
}

static void expect(struct hl_router_named *named, const char *folder, const char *name, int port, unsigned files)
{
        unsigned count;
        assert_int_equal(ask(named, folder, name, &count), port);
        assert_int_equal(count, files);
}

/* Now, and then without a file being read. */
static void expect_new(struct hl_router_named *named, const char *folder, const char *name, int port)
{
        expect(named, folder, name, port, 1);
        expect(named, folder, name, port, 0);
}

static void begin(struct hl_router_named *named, const char *folder)
{
        test_write(folder, "models/a", "PORT=1\n");
        test_write(folder, "models/b", "PORT=2\nALIASES=\"bee\"\n");
        expect(named, folder, "a", 1, 1); /* who asks once keeps nothing */
        expect_new(named, folder, "a", 1);
}

static void each_is_read_once(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        expect_new(&named, *state, "b", 2);
        expect(&named, *state, "a", 1, 0);
}

static void what_changes_is_read_again(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        test_write(*state, "models/a", "PORT=7\n");
        expect_new(&named, *state, "a", 7);
        test_write(*state, "new", "PORT=8\n");
        HL_CLEANUP(hl_free_pointer) char *new = hl_strdup(test_path(*state, "new"));
        must(rename(new, test_path(*state, "models/a")) == 0);
        expect_new(&named, *state, "a", 8);
        HL_CLEANUP(hl_free_pointer) char *a = hl_strdup(test_path(*state, "models/a"));
        must(link(a, test_path(*state, "elsewhere")) == 0);
        expect_new(&named, *state, "a", 8);
        test_write(*state, "elsewhere", "PORT=9\n");
        expect_new(&named, *state, "a", 9);
        must(unlink(a) == 0);
        unsigned count;
        assert_int_equal(ask(&named, *state, "a", &count), -1);
}

static void links_lead_elsewhere(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        test_write(*state, "one", "PORT=3\n");
        test_write(*state, "two", "PORT=4\n");
        must(symlink("../way", test_path(*state, "models/c")) == 0 && symlink("one", test_path(*state, "way")) == 0);
        expect_new(&named, *state, "c", 3);
        must(unlink(test_path(*state, "way")) == 0 && symlink("two", test_path(*state, "way")) == 0);
        expect_new(&named, *state, "c", 4);
}

/* Any file may take that name, and a file's name comes before it. */
static void an_alias_is_looked_for_each_time(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        for (int i = 0; i < 3; i++)
                expect(&named, *state, "bee", 2, 2);
        test_write(*state, "models/bee", "PORT=5\n");
        expect_new(&named, *state, "bee", 5);
}

static void names_of_nobody_are_not_kept(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        must(symlink("nowhere", test_path(*state, "models/lost")) == 0);
        static const char *const names[] = { "nobody", "../one", "lost" };
        unsigned count;
        for (int i = 0; i < 300; i++)
                assert_int_equal(ask(&named, *state, names[i % 3], &count), -1);
        assert_true(named.count <= 1);
        assert_true(named.watch.count <= 2);
}

static void the_configuration_is_another(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        begin(&named, *state);
        struct hl_config config = test_models_config(*state);
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        unsigned before = test_reads;
        config.text = (char[]){ "another" };
        assert_int_equal(hl_router_named_load(&named, &config, "a", &catalog, &err), 0);
        assert_int_equal(test_reads, before + 1);
}

static void there_are_more_than_are_kept(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        char file[32];
        unsigned count;
        begin(&named, *state);
        for (int i = 0; i < 3 * HL_ROUTER_NAMED_MAX; i++) {
                snprintf(file, sizeof(file), "models/m%d", i % (2 * HL_ROUTER_NAMED_MAX));
                if (i < 2 * HL_ROUTER_NAMED_MAX)
                        test_write(*state, file, "PORT=6\n");
                assert_int_equal(ask(&named, *state, file + strlen("models/"), &count), 6);
        }
        assert_true(named.count <= HL_ROUTER_NAMED_MAX);
        expect(&named, *state, "a", 1, 1);
}

/* Waits for a tick of the clock that files have their times of. */
static void one_may_not_be_read(void **state)
{
        HL_CLEANUP(hl_router_named_free) struct hl_router_named named = { 0 };
        uint64_t deadline_us = test_deadline();
        unsigned count = 1;
        begin(&named, *state);
        HL_CLEANUP(hl_free_pointer) char *elsewhere = hl_strdup(test_path(*state, "elsewhere"));
        must(link(test_path(*state, "models/b"), elsewhere) == 0 && chmod(elsewhere, 0) == 0);
        while (count > 0) {
                assert_int_equal(ask(&named, *state, "b", &count), 0);
                assert_true(hl_clock_monotonic() < deadline_us);
        }
        expect(&named, *state, "a", 1, 0);
        must(chmod(elsewhere, 0600) == 0);
        expect_new(&named, *state, "b", 2);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_folder(each_is_read_once),
                with_folder(what_changes_is_read_again),
                with_folder(links_lead_elsewhere),
                with_folder(an_alias_is_looked_for_each_time),
                with_folder(names_of_nobody_are_not_kept),
                with_folder(the_configuration_is_another),
                with_folder(there_are_more_than_are_kept),
                with_folder(one_may_not_be_read),
        };
        return cmocka_run_group_tests_name("named", tests, NULL, NULL);
}
