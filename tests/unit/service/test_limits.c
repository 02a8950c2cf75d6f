/* SPDX-License-Identifier: MIT */
/* service/limits: places and rates that processes share, and what is so without their folder. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "service/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR (60 * HL_USEC_PER_MINUTE)
#define NOWHERE "/nowhere/limits"

static void a_place_is_had_once_and_given_back(void **state)
{
        const char *folder = *state;
        int a = -1, b = -1, c = -1, other = -1;
        assert_int_equal(hl_limits_take(folder, "follower", 2, &a), 0);
        assert_int_equal(hl_limits_take(folder, "follower", 2, &b), 0);
        assert_int_equal(hl_limits_take(folder, "follower", 2, &c), -EBUSY);
        assert_int_equal(c, -1);
        assert_int_equal(hl_limits_take(folder, "waiter", 1, &other), 0);
        close(a);
        assert_int_equal(hl_limits_take(folder, "follower", 2, &c), 0);
        close(b);
        close(c);
        close(other);
}

static void a_rate_is_spent_and_comes_back(void **state)
{
        const char *folder = *state;
        for (int i = 0; i < 3; i++)
                assert_true(hl_limits_rate(folder, "lines", 3, HOUR));
        assert_false(hl_limits_rate(folder, "lines", 3, HOUR));
        /* An hour later. */
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/lines", folder);
        struct stat status;
        must(stat(path, &status) == 0);
        status.st_mtim.tv_sec -= 3600;
        const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, status.st_mtim };
        must(utimensat(AT_FDCWD, path, times, 0) == 0);
        assert_true(hl_limits_rate(folder, "lines", 3, HOUR));
        assert_false(hl_limits_rate(folder, "lines", 3, HOUR));
        /* A clock that was set back by a year silences nobody. */
        const struct timespec later[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = status.st_mtim.tv_sec + 31536000 } };
        must(utimensat(AT_FDCWD, path, later, 0) == 0);
        assert_true(hl_limits_rate(folder, "lines", 3, HOUR));
}

static void without_the_folder_nothing_is_counted(void **state)
{
        (void)state;
        int place = 0;
        assert_int_equal(hl_limits_take(NOWHERE, "follower", 1, &place), 0);
        assert_int_equal(place, -1);
        for (int i = 0; i < 3; i++)
                assert_true(hl_limits_rate(NOWHERE, "lines", 1, HOUR));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_place_is_had_once_and_given_back, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_rate_is_spent_and_comes_back, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test(without_the_folder_nothing_is_counted),
        };
        return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
