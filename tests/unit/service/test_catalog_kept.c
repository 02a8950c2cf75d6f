/* SPDX-License-Identifier: MIT */
/* service/catalog_kept: what has changed is seen at once, by whatever way it did; what has not is not read again. */
#include "model_files.h"
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "service/catalog_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All models with their ports, as "a=1 b=2 ". free() */
static char *ask(const struct hl_config *config)
{
        struct hl_err err = { 0 };
        struct hl_buf text = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        if (hl_catalog_kept_load(config, &catalog, &err) < 0)
                return hl_strdup(err.message);
        hl_buf_adds(&text, "");
        for (size_t i = 0; i < catalog.count; i++)
                hl_buf_addf(&text, "%s=%u ", catalog.models[i].name, catalog.models[i].port);
        return text.data ? text.data : hl_strdup("");
}

/* Asked at once, and again without a file being read. */
static void expect(const char *folder, const char *wanted)
{
        const struct hl_config config = test_models_config(folder);
        HL_CLEANUP(hl_free_pointer) char *now = ask(&config), *then = NULL;
        assert_string_equal(now, wanted);
        unsigned before = test_reads;
        then = ask(&config);
        assert_string_equal(then, wanted);
        assert_int_equal(test_reads, before);
}

/* The first request of a process keeps nothing, so that these ask as the ones after it. */
static void begin(const char *folder)
{
        const struct hl_config config = test_models_config(folder);
        test_write(folder, "models/a", "PORT=1\n");
        test_write(folder, "models/b", "PORT=2\n");
        free(ask(&config));
        expect(folder, "a=1 b=2 ");
}

static void make_folder(const char *folder, const char *name)
{
        must(mkdir(test_path(folder, name), 0755) == 0);
}

static void rename_in(const char *folder, const char *from, const char *to)
{
        HL_CLEANUP(hl_free_pointer) char *old = hl_strdup(test_path(folder, from));
        must(rename(old, test_path(folder, to)) == 0);
}

static void files_are_written_in_place(void **state)
{
        begin(*state);
        FILE *file = fopen(test_path(*state, "models/a"), "r+");
        must(file && fputs("PORT=7", file) >= 0 && fclose(file) == 0);
        expect(*state, "a=7 b=2 ");
        int fd = open(test_path(*state, "models/a"), O_WRONLY);
        must(pwrite(fd, "8", 1, 5) == 1);
        expect(*state, "a=8 b=2 "); /* also while its writer has it open */
        must(ftruncate(fd, 0) == 0);
        expect(*state, "a=0 b=2 ");
        close(fd);
}

static void files_come_and_go(void **state)
{
        begin(*state);
        test_write(*state, "new", "PORT=3\n");
        rename_in(*state, "new", "models/a");
        expect(*state, "a=3 b=2 ");
        rename_in(*state, "models/a", "models/c");
        expect(*state, "b=2 c=3 ");
        must(unlink(test_path(*state, "models/c")) == 0);
        expect(*state, "b=2 ");
        test_write(*state, "models/d", "PORT=4\n");
        expect(*state, "b=2 d=4 ");
}

static void a_file_is_written_by_another_name(void **state)
{
        begin(*state);
        HL_CLEANUP(hl_free_pointer) char *name = hl_strdup(test_path(*state, "models/a"));
        must(link(name, test_path(*state, "elsewhere")) == 0);
        expect(*state, "a=1 b=2 ");
        test_write(*state, "elsewhere", "PORT=5\n");
        expect(*state, "a=5 b=2 ");
}

static void a_file_is_a_link(void **state)
{
        begin(*state);
        test_write(*state, "one", "PORT=3\n");
        test_write(*state, "two", "PORT=4\n");
        must(symlink("../way", test_path(*state, "models/c")) == 0);
        expect(*state, "a=1 b=2 ");
        must(symlink("one", test_path(*state, "way")) == 0);
        expect(*state, "a=1 b=2 c=3 ");
        test_write(*state, "one", "PORT=5\n");
        expect(*state, "a=1 b=2 c=5 ");
        must(symlink("two", test_path(*state, "other")) == 0);
        rename_in(*state, "other", "way");
        expect(*state, "a=1 b=2 c=4 ");
        test_write(*state, "new", "PORT=6\n");
        rename_in(*state, "new", "two");
        expect(*state, "a=1 b=2 c=6 ");
}

/* Waits for a tick of the clock that files have their times of. */
static void wait_until_kept(const char *folder)
{
        const struct hl_config config = test_models_config(folder);
        uint64_t deadline_us = test_deadline();
        for (unsigned before = test_reads - 1; test_reads != before;) {
                before = test_reads;
                free(ask(&config));
                assert_true(hl_clock_monotonic() < deadline_us);
        }
}

static void a_file_may_not_be_read(void **state)
{
        begin(*state);
        HL_CLEANUP(hl_free_pointer) char *elsewhere = hl_strdup(test_path(*state, "elsewhere"));
        must(link(test_path(*state, "models/b"), elsewhere) == 0);
        must(symlink("../models/b", test_path(*state, "models/c")) == 0 && chmod(elsewhere, 0) == 0);
        wait_until_kept(*state);
        expect(*state, "a=1 b=0 c=0 ");
        test_write(*state, "models/a", "PORT=7\n");
        expect(*state, "a=7 b=0 c=0 ");
        must(chmod(elsewhere, 0600) == 0);
        expect(*state, "a=7 b=2 c=2 ");
}

static void the_folder_is_another(void **state)
{
        begin(*state);
        rename_in(*state, "models", "old");
        make_folder(*state, "models");
        expect(*state, "");
        test_write(*state, "models/e", "PORT=9\n");
        expect(*state, "e=9 ");
        must(unlink(test_path(*state, "models/e")) == 0 && rmdir(test_path(*state, "models")) == 0);
        const struct hl_config config = test_models_config(*state);
        HL_CLEANUP(hl_free_pointer) char *gone = ask(&config);
        assert_true(strstr(gone, "No such file or directory"));
        must(symlink("old", test_path(*state, "models")) == 0);
        expect(*state, "a=1 b=2 ");
        make_folder(*state, "next");
        test_write(*state, "next/x", "PORT=10\n");
        must(symlink("next", test_path(*state, "link")) == 0);
        rename_in(*state, "link", "models");
        expect(*state, "x=10 ");
}

static void the_way_to_it_is_another(void **state)
{
        make_folder(*state, "up");
        make_folder(*state, "up/models");
        test_write(*state, "up/models/a", "PORT=1\n");
        struct hl_config config = test_models_config(*state);
        config.models_dir = test_path(*state, "up/models");
        for (int i = 0; i < 2; i++)
                free(ask(&config));
        rename_in(*state, "up", "was-up");
        make_folder(*state, "up");
        make_folder(*state, "up/models");
        test_write(*state, "up/models/z", "PORT=26\n");
        config.models_dir = test_path(*state, "up/models");
        HL_CLEANUP(hl_free_pointer) char *now = ask(&config);
        assert_string_equal(now, "z=26 ");
}

static void the_configuration_is_another(void **state)
{
        begin(*state);
        struct hl_config config = test_models_config(*state);
        struct hl_err err = { 0 };
        config.text = (char[]){ "another" };
        unsigned before = test_reads;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        assert_int_equal(hl_catalog_kept_load(&config, &catalog, &err), 0);
        assert_int_equal(test_reads, before + 2);
}

/* More than the kernel's queue takes, so that its last word is that some were lost. */
static void the_queue_overflows(void **state)
{
        begin(*state);
        int fd = open(test_path(*state, "models/a"), O_WRONLY), other = open(test_path(*state, "models/b"), O_WRONLY);
        for (int i = 0; i < 20000; i++) { /* two that take turns: the same one is told once */
                must(pwrite(fd, "P", 1, 0) == 1);
                must(pwrite(other, "P", 1, 0) == 1);
        }
        must(pwrite(fd, "6", 1, 5) == 1);
        close(fd);
        close(other);
        expect(*state, "a=6 b=2 ");
}

static void who_has_it_keeps_it(void **state)
{
        begin(*state);
        const struct hl_config config = test_models_config(*state);
        struct hl_err err = { 0 };
        struct hl_catalog one = { 0 }, two = { 0 };
        assert_int_equal(hl_catalog_kept_load(&config, &one, &err), 0);
        assert_int_equal(hl_catalog_kept_load(&config, &two, &err), 0);
        assert_ptr_equal(one.models, two.models);
        hl_catalog_free(&one);
        must(unlink(test_path(*state, "models/a")) == 0);
        expect(*state, "b=2 ");
        assert_int_equal(two.models[0].port, 1);
        hl_catalog_free(&two);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_folder(files_are_written_in_place),
                with_folder(files_come_and_go),
                with_folder(a_file_is_written_by_another_name),
                with_folder(a_file_is_a_link),
                with_folder(a_file_may_not_be_read),
                with_folder(the_folder_is_another),
                with_folder(the_way_to_it_is_another),
                with_folder(the_configuration_is_another),
                with_folder(the_queue_overflows),
                with_folder(who_has_it_keeps_it),
        };
        return cmocka_run_group_tests_name("catalog_kept", tests, NULL, NULL);
}
