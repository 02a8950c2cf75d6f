/* SPDX-License-Identifier: MIT */
/* http/content: what the headers about a body say. */
#include "support.h"

#include "base/mem.h"
#include "http/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void a_media_type_is_found_whatever_its_case_and_parameters(void **state)
{
        (void)state;
        static const char *const same[] = { "multipart/form-data", "Multipart/Form-Data;boundary=x",
                                            " multipart/form-data ; a=b", "multipart/form-data\t;boundary=x",
                                            "multipart/form-data, multipart/form-data" };
        for (size_t i = 0; i < HL_COUNT(same); i++)
                assert_true(hl_content_is(same[i], "multipart/form-data"));
        static const char *const others[] = {
                "multipart/form-datax", "multipart/form", "multipart/mixed; boundary=x", "", ";", " "
        };
        for (size_t i = 0; i < HL_COUNT(others); i++)
                assert_false(hl_content_is(others[i], "multipart/form-data"));
        assert_false(hl_content_is(NULL, "multipart/form-data"));
}

static void types_of_json(void **state)
{
        (void)state;
        static const char *const json[] = { "application/json", "Application/JSON; charset=utf-8", "text/json",
                                            "application/vnd.api+json", "application/json;charset=utf-16" };
        for (size_t i = 0; i < HL_COUNT(json); i++)
                assert_true(hl_content_is_json(json[i]));
        static const char *const others[] = {
                "text/plain", "application/jsonx", "application/json5", "+json", "json", ""
        };
        for (size_t i = 0; i < HL_COUNT(others); i++)
                assert_false(hl_content_is_json(others[i]));
        assert_false(hl_content_is_json(NULL));
}

static void what_means_no_encoding_is_none(void **state)
{
        (void)state;
        static const char *const plain[] = { "",     "identity", "Identity", " identity , identity ", ",", "utf-8",
                                             "UTF8", "8bit",     "binary" };
        for (size_t i = 0; i < HL_COUNT(plain); i++)
                assert_true(hl_content_is_unencoded(plain[i]));
        assert_true(hl_content_is_unencoded(NULL));
        static const char *const encoded[] = {
                "gzip",           "zstd",          "br",       "deflate",   "x-gzip",
                "identity, gzip", "gzip,identity", "compress", "identityx", "aes128gcm"
        };
        for (size_t i = 0; i < HL_COUNT(encoded); i++) {
                struct hl_err err = { 0 };
                assert_false(hl_content_is_unencoded(encoded[i]));
                assert_int_equal(hl_content_refuse_encoding(encoded[i], &err), -EOPNOTSUPP);
                assert_int_equal(err.kind, HL_ERR_UNSUPPORTED);
                assert_string_equal(err.code, "unsupported_content_encoding");
                assert_non_null(strstr(err.message, encoded[i]));
                assert_non_null(strstr(err.message, "send it uncompressed"));
        }
}

static void expect_parameter(const char *value, const char *expected)
{
        char *copy = hl_alloc(strlen(value)), *got; /* of this length, so that a read past its end is seen */
        memcpy(copy, value, strlen(value));
        got = hl_content_parameter(copy, strlen(value), "n");
        free(copy);
        if (expected ? !got || strcmp(got, expected) != 0 : got != NULL)
                fail_msg("%s: %s", value, got ? got : "NULL");
        free(got);
}

static void a_parameter_is_read_in_each_of_its_forms(void **state)
{
        (void)state;
        static const char *const cases[][2] = {
                { "a; n=x", "x" },
                { "a;N=x;n=y", "x" },
                { "a ; b=c ; n = x y ", "x y" },
                { "a; n=\"x;\\\"\\\\\\y\"", "x;\"\\\\y" },
                { "a; n=\"x", "\"x" },
                { "a; n=\"", "\"" },
                { "a; n=\"\"", "" },
                { "a; n=", "" },
                { "a; n*=utf-8''%78%zz%", "x%zz%" },
                { "a; n*=x", "x" },
                { "a; n*=\"utf-8'en'x\"", "x" },
                { "a; n*0=x; n*1*=%79; n*3=z", "xy" },
                { "a; n*0*=iso-8859-1'en'%78; n*1=y", "xy" },
                { "a; n*=utf-8''y; n=x", "x" },
                { "a", NULL },
                { "n=x", NULL },
                { "a; n", NULL },
                { "a; nn=x", NULL },
                { "a; b=\"; n=x\"", NULL },
                { "a; b=\"\\", NULL },
                { "a; n*1=x", NULL },
                { "a; n*=x; n*=y", NULL },
                { "a; n*0=x; n*0=x; n*1=y", NULL },
                { "", NULL },
                { ";", NULL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_parameter(cases[i][0], cases[i][1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_media_type_is_found_whatever_its_case_and_parameters),
                cmocka_unit_test(types_of_json),
                cmocka_unit_test(what_means_no_encoding_is_none),
                cmocka_unit_test(a_parameter_is_read_in_each_of_its_forms),
        };
        return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
