/* lab/activity: one file's modification time. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "lab/activity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void touched_is_now(void **state)
{
        struct hl_err err = { 0 };
        assert_true(hl_activity_last("m") == 0);
        /* A file's time is the kernel's tick, which may lie a little before the clock's now. */
        uint64_t before_us = hl_clock_realtime() - HL_USEC_PER_SEC;
        assert_int_equal(hl_activity_touch("m", &err), 0);
        uint64_t last_us = hl_activity_last("m");
        assert_true(last_us > before_us && last_us <= hl_clock_realtime());

        const struct timespec old[2] = { { .tv_sec = 1000, .tv_nsec = 5000 }, { .tv_sec = 1000, .tv_nsec = 5000 } };
        must(utimensat(AT_FDCWD, test_path(*state, "activity/m"), old, 0) == 0);
        assert_true(hl_activity_last("m") == 1000 * HL_USEC_PER_SEC + 5);
        assert_int_equal(hl_activity_touch("m", &err), 0);
        assert_true(hl_activity_last("m") > before_us);
        char *text = test_read(test_path(*state, "activity/m"));
        assert_string_equal(text, "");
        free(text);
        assert_true(hl_activity_last("other") == 0);
}

static void what_stands_in_the_way_is_an_error(void **state)
{
        struct hl_err err = { 0 };
        test_write(*state, "victim", "x");
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        must(utimensat(AT_FDCWD, test_path(*state, "victim"), old, 0) == 0);
        must(symlink(test_path(*state, "victim"), test_path(*state, "activity/link")) == 0);
        assert_int_equal(hl_activity_touch("link", &err), -ELOOP);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        struct stat status;
        must(stat(test_path(*state, "victim"), &status) == 0);
        assert_int_equal(status.st_mtim.tv_sec, 1000);

        err = (struct hl_err){ 0 };
        must(mkfifo(test_path(*state, "activity/pipe"), 0600) == 0);
        assert_int_equal(hl_activity_touch("pipe", &err), -ENXIO); /* and does not hang */

        err = (struct hl_err){ 0 };
        setenv("STATE_DIRECTORY", "/nonexistent", 1);
        assert_int_equal(hl_activity_touch("m", &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_true(hl_activity_last("m") == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(touched_is_now, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(what_stands_in_the_way_is_an_error, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests_name("activity", tests, NULL, NULL);
}
