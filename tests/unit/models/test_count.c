/* SPDX-License-Identifier: MIT */
/* models/count: each time counts once, and each kind for itself. */
#include "support.h"

#include "base/mem.h"
#include "models/count.h"

#include <stdlib.h>

static void each_time_counts(void **state)
{
        must(setenv("HL_EVICTED_DIRECTORY", *state, 1) == 0);
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "m"), 0);
        hl_count_add(HL_COUNTED_EVICTED, "m");
        hl_count_add(HL_COUNTED_EVICTED, "m");
        hl_count_add(HL_COUNTED_EVICTED, "other");
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "m"), 2);
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "other"), 1);
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "models"), 0); /* a folder */
        HL_CLEANUP(hl_listing_free) struct hl_listing counted = hl_count_list(HL_COUNTED_EVICTED);
        assert_true(hl_listing_may_have(&counted, "m") && !hl_listing_may_have(&counted, "none"));
        must(setenv("HL_HELD_DIRECTORY", test_path(*state, "models"), 1) == 0);
        hl_count_add(HL_COUNTED_HELD, "m");
        assert_int_equal(hl_count_of(HL_COUNTED_HELD, "m"), 1);
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "m"), 2);
        must(unsetenv("HL_HELD_DIRECTORY") == 0);
        must(setenv("HL_EVICTED_DIRECTORY", "/nowhere", 1) == 0);
        hl_count_add(HL_COUNTED_EVICTED, "m");
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, "m"), 0);
        must(unsetenv("HL_EVICTED_DIRECTORY") == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_time_counts, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
