/* SPDX-License-Identifier: MIT */
/* base/size: amounts of memory, read and written. */
#include "support.h"

#include "base/mem.h"
#include "base/size.h"

#include <errno.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void amounts_are_read_as_systemd_writes_them(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint64_t bytes;
        } amounts[] = {
                { "1048576", MIB },
                { "25769803776", 24 * GIB },
                { "1K", KIB },
                { "512M", 512 * MIB },
                { "18G", 18 * GIB },
                { "17.5G", 17 * GIB + 512 * MIB },
                { "0.5K", 512 },
                { "1T", 1024 * GIB },
                { "007M", 7 * MIB },
                { "1024T", HL_SIZE_LIMIT },
                { "0.001K", 1 },
                { "1125899906842624", HL_SIZE_LIMIT },
                { "1.25M", MIB + 256 * KIB },
        };
        for (size_t i = 0; i < HL_COUNT(amounts); i++) {
                uint64_t bytes = 0;
                assert_int_equal(hl_parse_size(amounts[i].text, &bytes), 0);
                assert_true(bytes == amounts[i].bytes);
        }
}

static void what_is_no_amount_is_refused(void **state)
{
        (void)state;
        static const char *const none[] = { "",
                                            " ",
                                            "G",
                                            "18GB",
                                            "18GiB",
                                            "18 G",
                                            "18g",
                                            "-1",
                                            "+1",
                                            "1.",
                                            ".5G",
                                            "1.5",
                                            "0x10",
                                            "1e9",
                                            "1,5G",
                                            "18G ",
                                            "80%",
                                            "12P",
                                            "1.00000000000000001G" };
        uint64_t bytes = 17;
        for (size_t i = 0; i < HL_COUNT(none); i++)
                assert_int_equal(hl_parse_size(none[i], &bytes), -EINVAL);
        static const char *const beyond[] = { "0",
                                              "24",
                                              "24000",
                                              "1048575",
                                              "0G",
                                              "0.0K",
                                              "0.0001K",
                                              "1025T",
                                              "1024.1T",
                                              "1125899906842625",
                                              "99999999999999999999999999",
                                              "18446744073709551617" };
        for (size_t i = 0; i < HL_COUNT(beyond); i++)
                assert_int_equal(hl_parse_size(beyond[i], &bytes), -ERANGE);
        assert_int_equal(bytes, 17);
}

static void amounts_are_written_for_people(void **state)
{
        (void)state;
        char text[HL_SIZE_TEXT];
        assert_string_equal(hl_format_size(0, text), "0 bytes");
        assert_string_equal(hl_format_size(1023, text), "1023 bytes");
        assert_string_equal(hl_format_size(KIB, text), "1 KiB");
        assert_string_equal(hl_format_size(512 * MIB, text), "512 MiB");
        assert_string_equal(hl_format_size(18 * GIB, text), "18 GiB");
        assert_string_equal(hl_format_size(17 * GIB + 512 * MIB, text), "17.5 GiB");
        assert_string_equal(hl_format_size(HL_SIZE_LIMIT, text), "1024 TiB");
        assert_string_equal(hl_format_size(UINT64_MAX, text), "16777215.9 TiB");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(amounts_are_read_as_systemd_writes_them),
                cmocka_unit_test(what_is_no_amount_is_refused),
                cmocka_unit_test(amounts_are_written_for_people),
        };
        return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
