/* SPDX-License-Identifier: MIT */
/* models/keep: a model is kept for as long as was said. */
#include "support.h"

#include "base/clock.h"
#include "base/err.h"
#include "models/keep.h"

#include <stdlib.h>
#include <string.h>

#define HOUR (60 * HL_USEC_PER_MINUTE)

static void it_lasts_as_long_as_was_said(void **state)
{
        struct hl_err err = { 0 };
        must(setenv("HL_KEEP_DIRECTORY", *state, 1) == 0);
        assert_int_equal(hl_keep_left("m"), 0);
        assert_int_equal(hl_keep("m", HOUR, &err), 0);
        uint64_t left_us = hl_keep_left("m");
        assert_true(left_us <= HOUR && left_us > HOUR - HL_USEC_PER_MINUTE);
        assert_int_equal(hl_keep_left("other"), 0);
        assert_int_equal(hl_keep("m", 2 * HOUR, &err), 0);
        assert_true(hl_keep_left("m") > HOUR);
        assert_int_equal(hl_keep("m", UINT64_MAX, &err), 0);
        assert_true(hl_keep_left("m") <= HL_KEEP_MAX_US);
        assert_int_equal(hl_keep("m", 0, &err), 0);
        assert_int_equal(hl_keep_left("m"), 0);
        assert_int_equal(hl_keep("m", 0, &err), 0);
        assert_int_equal(hl_keep("m", 1, &err), 0);
        while (hl_keep_left("m") > 0) /* a microsecond */
                ;
        test_write(*state, "touched", "");
        assert_int_equal(hl_keep_left("touched"), 0);
        must(setenv("HL_KEEP_DIRECTORY", "/nowhere", 1) == 0);
        assert_true(hl_keep("m", HOUR, &err) < 0);
        assert_non_null(strstr(err.message, "/nowhere/m"));
        must(unsetenv("HL_KEEP_DIRECTORY") == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_lasts_as_long_as_was_said, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
