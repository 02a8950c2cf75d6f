/* SPDX-License-Identifier: MIT */
/* models/measured: what was written down is known, and the most of it counts. */
#include "support.h"

#include "base/clock.h"
#include "models/measured.h"

#include <string.h>
#include <sys/stat.h>

static void the_most_is_known_until_the_file_is_changed(void **state)
{
        struct hl_model model = { .name = "m", .changed_us = 1 };
        uint64_t bytes[HL_RESOURCES] = { [0] = 18, [HL_MEMORY] = 5 };
        hl_measured_record(&model, bytes, true); /* without the folder nothing is */
        assert_int_equal(hl_measured_of(&model).at_us, 0);
        must(mkdir(test_path(*state, "measured"), 0755) == 0);
        assert_int_equal(hl_measured_of(&model).bytes[0], 0);

        hl_measured_record(&model, bytes, false);
        assert_false(hl_measured_of(&model).to_end);
        hl_measured_record(&model, bytes, true);
        assert_true(hl_measured_of(&model).to_end);
        bytes[0] = 17;
        bytes[15] = 3;
        hl_measured_record(&model, bytes, false);
        struct hl_measured measured = hl_measured_of(&model);
        assert_int_equal(measured.bytes[0], 18);
        assert_int_equal(measured.bytes[15], 3);
        assert_int_equal(measured.bytes[HL_MEMORY], 5);
        assert_true(measured.to_end);
        assert_true(measured.at_us > 0 && measured.at_us <= hl_clock_realtime() + HL_USEC_PER_SEC);

        model.changed_us = hl_clock_realtime() + HL_USEC_PER_SEC;
        bytes[15] = 0;
        hl_measured_record(&model, bytes, false);
        measured = hl_measured_of(&model);
        assert_int_equal(measured.bytes[0], 17);
        assert_int_equal(measured.bytes[15], 0);
        assert_false(measured.to_end);
}

static void what_makes_no_sense_says_nothing(void **state)
{
        struct hl_model model = { .name = "m" };
        must(mkdir(test_path(*state, "measured"), 0755) == 0);
        test_write(*state, "measured/m",
                   "gpu 0 5\ngpu 16 5\ngpu 1\nmemory x\nmemory  7\nodd\n 9\ngpu 2 99999999999999999999\n");
        struct hl_measured measured = hl_measured_of(&model);
        assert_int_equal(measured.bytes[0], 5);
        for (size_t i = 1; i < HL_RESOURCES; i++)
                assert_int_equal(measured.bytes[i], 0);
        assert_int_equal(hl_measured_now(NULL).at_us, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(the_most_is_known_until_the_file_is_changed, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(what_makes_no_sense_says_nothing, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
