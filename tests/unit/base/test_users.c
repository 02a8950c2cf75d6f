/* SPDX-License-Identifier: MIT */
/* base/users: the number of a system user. */
#include "support.h"

#include "base/users.h"

#include <errno.h>
#include <unistd.h>

static const char *const names[] = { "home-lab-services", "home-lab-power" };

static void a_number_is_found_by_its_name(void **state)
{
        const char *file = test_path(*state, "passwd");
        test_write(*state, "passwd",
                   "root:x:0:0:root:/root:/bin/bash\n\nbroken line\n"
                   "twin:x:990:990::/:/usr/sbin/nologin\nhome-lab-power:x:990:990::/:/usr/sbin/nologin\n"
                   "home-lab-services:x:991:991::/:/usr/sbin/nologin\n");
        assert_int_equal(hl_users_find(file, 990, names, 2), 1);
        assert_int_equal(hl_users_find(file, 991, names, 2), 0);
        assert_int_equal(hl_users_find(file, 0, names, 2), -ESRCH);
        assert_int_equal(hl_users_find(file, 5, names, 2), -ESRCH);
}

/* What was found stays known, of a file that has been the same for a while. */
static void a_file_that_changes_is_read_anew(void **state)
{
        const char *file = test_path(*state, "passwd");
        test_write(*state, "passwd", "home-lab-power:x:990:990::/:/usr/sbin/nologin\n");
        usleep(1100000);
        assert_int_equal(hl_users_find(file, 990, names, 2), 1);
        assert_int_equal(hl_users_find(file, 990, names, 2), 1);
        assert_int_equal(hl_users_find(file, 991, names, 2), -ESRCH);
        assert_int_equal(hl_users_find(file, 990, names, 1), -ESRCH);
        test_write(*state, "passwd", "home-lab-power:x:991:990::/:/usr/sbin/nologin\n");
        assert_int_equal(hl_users_find(file, 990, names, 2), -ESRCH);
        assert_int_equal(hl_users_find(file, 991, names, 2), 1);
        test_write(*state, "passwd", "home-lab-power:x:992:990::/:/usr/sbin/nologin\n"); /* as soon, as long */
        assert_int_equal(hl_users_find(file, 991, names, 2), -ESRCH);
        assert_int_equal(hl_users_find(file, 992, names, 2), 1);
        must(unlink(file) == 0);
        assert_int_equal(hl_users_find(file, 992, names, 2), -ENOENT);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
        assert_int_equal(hl_users_find(test_path(*state, "nothing-here"), 0, names, 2), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_number_is_found_by_its_name, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_file_that_changes_is_read_anew, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_an_error, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
