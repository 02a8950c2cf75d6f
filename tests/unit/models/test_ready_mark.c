/* SPDX-License-Identifier: MIT */
/* models/ready_mark: one file's modification time. */
#include "support.h"

#include "base/clock.h"
#include "models/ready_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_mark_is_of_the_start_before_it(void **state)
{
        (void)state;
        assert_false(hl_ready_mark_since("m", 0)); /* there is none */
        assert_int_equal(hl_ready_mark("m", 5 * HL_USEC_PER_SEC + 7), 0);
        assert_true(hl_ready_mark_since("m", 5 * HL_USEC_PER_SEC + 7));
        assert_true(hl_ready_mark_since("m", 4 * HL_USEC_PER_SEC));
        assert_false(hl_ready_mark_since("m", 5 * HL_USEC_PER_SEC + 8)); /* it was started anew */
        assert_int_equal(hl_ready_mark("m", 6 * HL_USEC_PER_SEC), 0);
        assert_true(hl_ready_mark_since("m", 5 * HL_USEC_PER_SEC + 8));
        assert_false(hl_ready_mark_since("other", 0));
}

static void a_mark_is_not_taken_back(void **state)
{
        (void)state;
        uint64_t now_us = hl_clock_monotonic();
        must(hl_ready_mark("m", now_us) == 0);
        assert_int_equal(hl_ready_mark("m", now_us - HL_USEC_PER_SEC), 0); /* told late, and asked before */
        assert_true(hl_ready_mark_since("m", now_us));
}

static void a_link_is_not_followed(void **state)
{
        test_write(*state, "victim", "");
        const struct timespec old[] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
        const char *victim = test_path(*state, "victim");
        must(utimensat(AT_FDCWD, victim, old, 0) == 0);
        must(symlink(victim, test_path(*state, "ready/m")) == 0);
        hl_ready_mark("m", 9 * HL_USEC_PER_SEC);
        struct stat status;
        must(stat(victim, &status) == 0);
        assert_int_equal(status.st_mtim.tv_sec, 1);
}

static void without_a_folder_nothing_was_seen(void **state)
{
        must(rmdir(test_path(*state, "ready")) == 0);
        assert_int_equal(hl_ready_mark("m", 1), -ENOENT);
        assert_false(hl_ready_mark_since("m", 0));
}

/* As after root has looked first: the service's user may write to the folder, but not set the times of root's file. */
static void a_file_of_somebody_else_is_replaced(void **state)
{
        if (geteuid() != 0)
                skip();
        const char *path = test_path(*state, "ready/m");
        test_write(*state, "ready/m", "");
        must(chmod(*state, 0755) == 0 && chown(test_path(*state, "ready"), 65534, (gid_t)-1) == 0 &&
             seteuid(65534) == 0);
        int r = hl_ready_mark("m", 3);
        must(seteuid(0) == 0);
        struct stat status;
        must(stat(path, &status) == 0);
        assert_int_equal(r, 0);
        assert_int_equal(status.st_uid, 65534);
        assert_true(hl_ready_mark_since("m", 3));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_mark_is_of_the_start_before_it, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_mark_is_not_taken_back, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_link_is_not_followed, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(without_a_folder_nothing_was_seen, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_file_of_somebody_else_is_replaced, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests_name("ready_mark", tests, NULL, NULL);
}
