/* SPDX-License-Identifier: MIT */
/* models/last_use: one file's modification time. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "models/last_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void touched_is_now(void **state)
{
        struct hl_err err = { 0 };
        assert_true(hl_last_use_at("m") == 0);
        /* A file's time is the kernel's tick, which may lie a little before the clock's now. */
        uint64_t before_us = hl_clock_realtime() - HL_USEC_PER_SEC;
        assert_int_equal(hl_last_use_record("m", &err), 0);
        uint64_t last_us = hl_last_use_at("m");
        assert_true(last_us > before_us);
        assert_true(last_us <= hl_clock_realtime());

        const struct timespec old[2] = { { .tv_sec = 1000, .tv_nsec = 5000 }, { .tv_sec = 1000, .tv_nsec = 5000 } };
        must(utimensat(AT_FDCWD, test_path(*state, "activity/m"), old, 0) == 0);
        assert_true(hl_last_use_at("m") == 1000 * HL_USEC_PER_SEC + 5);
        assert_int_equal(hl_last_use_record("m", &err), 0);
        assert_true(hl_last_use_at("m") > before_us);
        char *text = test_read(test_path(*state, "activity/m"));
        assert_string_equal(text, "");
        free(text);
        assert_true(hl_last_use_at("other") == 0);
}

static void only_what_was_a_model_is_recorded_unseen(void **state)
{
        struct hl_err err = { 0 };
        assert_int_equal(hl_last_use_record_known("m", &err), 0);
        assert_true(hl_last_use_at("m") == 0);
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        assert_int_equal(hl_last_use_record("m", &err), 0);
        must(utimensat(AT_FDCWD, test_path(*state, "activity/m"), old, 0) == 0);
        assert_int_equal(hl_last_use_record_known("m", &err), 0);
        assert_true(hl_last_use_at("m") > 1000 * HL_USEC_PER_SEC);
}

/* Sets the two times of a model's file, in seconds before now on their own clocks; a plain time for "not ours". */
static void set_times(const char *folder, const char *model, int64_t real_ago, int64_t monotonic_ago, bool ours)
{
        struct timespec times[2];
        must(clock_gettime(CLOCK_REALTIME, &times[1]) == 0);
        times[1].tv_sec -= real_ago;
        times[0] = times[1];
        if (ours) {
                must(clock_gettime(CLOCK_MONOTONIC, &times[0]) == 0);
                times[0].tv_sec -= monotonic_ago;
        }
        char *path = hl_format("activity/%s", model);
        test_write(folder, path, "");
        must(utimensat(AT_FDCWD, test_path(folder, path), times, 0) == 0);
        free(path);
}

static struct hl_last_use read_activity(const char *model)
{
        struct hl_last_use activity;
        hl_last_use_read(model, &activity);
        return activity;
}

static bool about(uint64_t us, uint64_t seconds)
{
        return us + HL_USEC_PER_SEC >= seconds * HL_USEC_PER_SEC && us <= (seconds + 2) * HL_USEC_PER_SEC;
}

static void ages_run_while_the_host_is_awake(void **state)
{
        struct hl_err err = { 0 };
        uint64_t now_us = hl_clock_realtime();
        assert_int_equal(read_activity("m").age_us, HL_USEC_INFINITY);
        assert_int_equal(read_activity("m").at_us, 0);
        assert_int_equal(hl_last_use_record("m", &err), 0);
        assert_true(about(read_activity("m").age_us, 0));
        assert_false(read_activity("m").needs_rebase);

        set_times(*state, "m", 40, 10, true); /* 30 of these 40 seconds it was suspended, or the clock was set on */
        assert_true(about(read_activity("m").age_us, 10));
        assert_true(about(now_us - read_activity("m").at_us, 40));
        set_times(*state, "m", -3600, 10, true); /* the clock was set back by an hour */
        assert_true(about(read_activity("m").age_us, 10));
        assert_true(about(now_us - read_activity("m").at_us, 10));
        set_times(*state, "m", 86400 * 365, 10, true); /* before this boot: what a clock of that one says is nothing */
        assert_true(about(read_activity("m").age_us, 86400 * 365));
        assert_false(read_activity("m").needs_rebase);
}

static void what_was_noted_is_never_taken_back(void **state)
{
        struct hl_err err = { 0 };
        assert_int_equal(hl_last_use_record_past("m", 20 * HL_USEC_PER_SEC, &err), 0);
        assert_true(about(read_activity("m").age_us, 20));
        assert_int_equal(hl_last_use_record_past("m", 30 * HL_USEC_PER_SEC, &err), 0);
        assert_true(about(read_activity("m").age_us, 20)); /* something later is known */
        assert_int_equal(hl_last_use_record_past("m", 5 * HL_USEC_PER_SEC, &err), 0);
        assert_true(about(read_activity("m").age_us, 5));
        (void)state;
}

/* touch(1) by a script, a restored backup, a clock that was set back. */
static void times_of_others_are_adopted(void **state)
{
        struct hl_err err = { 0 };
        set_times(*state, "m", 15, 0, false);
        assert_true(read_activity("m").needs_rebase);
        assert_true(about(read_activity("m").age_us, 15));
        uint64_t at_us = read_activity("m").at_us;
        assert_int_equal(hl_last_use_rebase("m", &err), 0);
        assert_false(read_activity("m").needs_rebase);
        assert_true(about(read_activity("m").age_us, 15));
        assert_true(read_activity("m").at_us == at_us);

        set_times(*state, "m", -86400, 0, false); /* tomorrow: now, once it was adopted no longer for ever */
        assert_true(read_activity("m").needs_rebase);
        assert_int_equal(read_activity("m").age_us, 0);
        at_us = read_activity("m").at_us;
        assert_true(about(hl_clock_realtime() - at_us, 0));
        assert_int_equal(hl_last_use_rebase("m", &err), 0);
        must(usleep(2000) == 0);
        assert_false(read_activity("m").needs_rebase);
        assert_true(read_activity("m").age_us >= 2000);
        assert_int_equal(hl_last_use_rebase("m", &err), 0); /* nothing more to adopt */
        assert_true(read_activity("m").age_us >= 2000);
}

/* To hold a model that was never used makes no activity of it, and takes none away. */
static void to_hold_is_not_to_use(void **state)
{
        (void)state;
        struct hl_err err = { 0 };
        int fd = -1;
        assert_int_equal(hl_last_use_lock("m", &fd, &err), 0);
        close(fd);
        assert_int_equal(read_activity("m").age_us, HL_USEC_INFINITY);
        assert_int_equal(hl_last_use_at("m"), 0);
        assert_int_equal(hl_last_use_lock("m", &fd, &err), 0);
        close(fd);
        assert_true(hl_last_use_at("m") == 0);
        assert_int_equal(hl_last_use_record("m", &err), 0);
        assert_int_equal(hl_last_use_lock("m", &fd, &err), 0);
        close(fd);
        assert_true(about(read_activity("m").age_us, 0));
}

static void what_stands_in_the_way_goes(void **state)
{
        struct hl_err err = { 0 };
        test_write(*state, "victim", "x");
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        must(utimensat(AT_FDCWD, test_path(*state, "victim"), old, 0) == 0);
        must(symlink(test_path(*state, "victim"), test_path(*state, "activity/link")) == 0);
        assert_int_equal(hl_last_use_record("link", &err), 0);
        struct stat status;
        must(lstat(test_path(*state, "activity/link"), &status) == 0);
        assert_true(S_ISREG(status.st_mode));
        must(stat(test_path(*state, "victim"), &status) == 0);
        assert_int_equal(status.st_mtim.tv_sec, 1000);

        must(mkfifo(test_path(*state, "activity/pipe"), 0600) == 0);
        assert_int_equal(hl_last_use_record("pipe", &err), 0); /* and does not hang */
        must(mkdir(test_path(*state, "activity/folder"), 0700) == 0);
        assert_int_equal(hl_last_use_record("folder", &err), 0);
        must(mkdir(test_path(*state, "activity/full"), 0700) == 0);
        test_write(*state, "activity/full/of", "x");
        assert_true(hl_last_use_record("full", &err) < 0); /* that much is not for us to remove */

        err = (struct hl_err){ 0 };
        setenv("STATE_DIRECTORY", "/nonexistent", 1);
        assert_int_equal(hl_last_use_record("m", &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_true(hl_last_use_at("m") == 0);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(touched_is_now),
                IN_FOLDER(only_what_was_a_model_is_recorded_unseen),
                IN_FOLDER(ages_run_while_the_host_is_awake),
                IN_FOLDER(what_was_noted_is_never_taken_back),
                IN_FOLDER(times_of_others_are_adopted),
                IN_FOLDER(to_hold_is_not_to_use),
                IN_FOLDER(what_stands_in_the_way_goes),
        };
        return cmocka_run_group_tests_name("activity", tests, NULL, NULL);
}
