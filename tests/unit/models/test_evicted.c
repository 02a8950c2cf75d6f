/* SPDX-License-Identifier: MIT */
/* models/evicted: each time counts once. */
#include "support.h"

#include "models/evicted.h"

#include <stdlib.h>

static void each_time_counts(void **state)
{
        must(setenv("HL_EVICTED_DIRECTORY", *state, 1) == 0);
        assert_int_equal(hl_evicted_of("m"), 0);
        hl_evicted_count("m");
        hl_evicted_count("m");
        hl_evicted_count("other");
        assert_int_equal(hl_evicted_of("m"), 2);
        assert_int_equal(hl_evicted_of("other"), 1);
        assert_int_equal(hl_evicted_of("models"), 0); /* a folder */
        must(setenv("HL_EVICTED_DIRECTORY", "/nowhere", 1) == 0);
        hl_evicted_count("m");
        assert_int_equal(hl_evicted_of("m"), 0);
        must(unsetenv("HL_EVICTED_DIRECTORY") == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_time_counts, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
