/* SPDX-License-Identifier: MIT */
/* models/load_time: what was written down is known. */
#include "support.h"

#include "base/clock.h"
#include "models/load_time.h"

#include <sys/stat.h>

static void what_was_recorded_is_known(void **state)
{
        hl_load_time_record("m", HL_USEC_PER_SEC); /* without the folder nothing is */
        assert_int_equal(hl_load_time_of("m"), 0);
        must(mkdir(test_path(*state, "load"), 0755) == 0);
        assert_int_equal(hl_load_time_of("m"), 0);
        hl_load_time_record("m", 90 * HL_USEC_PER_SEC + 5);
        assert_int_equal(hl_load_time_of("m"), 90 * HL_USEC_PER_SEC + 5);
        hl_load_time_record("m", 7);
        assert_int_equal(hl_load_time_of("m"), 7);
        test_write(*state, "load/other", "");
        assert_int_equal(hl_load_time_of("other"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_was_recorded_is_known, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
