/* SPDX-License-Identifier: MIT */
/* model-router/json_find: hl_json_find_string(), which any client's body of many megabytes goes through. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model-router/json_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int find_in(const char *text, size_t len, char **ret_value, struct hl_err *err)
{
        char *copy = hl_alloc(len); /* of this length, so that a read past its end is seen */
        memcpy(copy, text, len);
        *err = (struct hl_err){ 0 };
        int r = hl_json_find_string(copy, len, "model", ret_value, err);
        free(copy);
        return r;
}

static void expect_found(const char *text, const char *expected)
{
        struct hl_err err;
        char untouched, *value = &untouched;
        int r = find_in(text, strlen(text), &value, &err);
        if (r != 0 || (expected ? !value || strcmp(value, expected) != 0 : value != NULL))
                fail_msg("%s: %d %s", text, r, err.message);
        free(value);
}

static void expect_refusal(const char *text, size_t len, const char *code, const char *words)
{
        struct hl_err err;
        char untouched, *value = &untouched;
        int r = find_in(text, len, &value, &err);
        if (r != -EINVAL || err.kind != HL_ERR_INVALID || strcmp(err.code, code) != 0 || !strstr(err.message, words))
                fail_msg("%s: %d %s: %s", text, r, err.code ? err.code : "", err.message);
        assert_ptr_equal(value, &untouched);
}

#define REFUSED(text, code, words) expect_refusal(text, sizeof(text) - 1, code, words)

static void finds_the_value_wherever_it_stands(void **state)
{
        (void)state;
        expect_found("{\"model\":\"x\"}", "x");
        expect_found(" { \"a\" : [ 1, {\"model\": 2} ] ,\n\"model\"\t:\r\n \"x y\" , \"b\" : null } ", "x y");
        expect_found("{\"messages\":[{\"role\":\"user\",\"content\":\"\\\"model\\\":\\\"y\\\"\"}],\"model\":\"x\"}",
                     "x");
        expect_found("{\"model\":\"\"}", "");
}

static void absent_is_no_error(void **state)
{
        (void)state;
        expect_found("{}", NULL);
        expect_found("{\"a\":\"model\"}", NULL);
        expect_found("{\"mode\":\"x\",\"models\":\"x\",\"Model\":\"x\",\"\":\"x\",\" model\":\"x\"}", NULL);
        expect_found("{\"model\\u0000\":\"x\",\"\\u0000model\":\"y\",\"mod\\u0000el\":\"z\"}", NULL);
        expect_found("{\"\\u016dodel\":\"x\"}", NULL); /* whose low byte is 'm' */
}

/* Only a key of the outermost object counts, however its path is written. */
static void nested_keys_are_others(void **state)
{
        (void)state;
        expect_found("{\"\":{\"model\":\"x\"}}", NULL);
        expect_found("{\"a\":{\"model\":\"x\"}}", NULL);
        expect_found("{\"a\":[{\"model\":\"x\"}]}", NULL);
        expect_found("{\"a\":{\"model\":\"x\"},\"model\":\"y\",\"b\":{\"model\":\"z\"}}", "y");
}

static void escapes_are_decoded(void **state)
{
        (void)state;
        expect_found("{\"\\u006dodel\":\"x\"}", "x");
        expect_found("{\"\\u006D\\u006f\\u0064\\u0065\\u006C\":\"x\"}", "x");
        expect_found("{\"model\":\"a\\/\\\"\\\\\\n\\u0062\\u00e9\"}", "a/\"\\\nb\xC3\xA9");
        expect_found("{\"model\":\"\\ud83d\\ude00\"}", "\xF0\x9F\x98\x80");

        static const char escaped[] = "{\"a\\/\\\"\\\\\\b\\f\\n\\r\\tb\":\"x\"}";
        struct hl_err err = { 0 };
        char *value = NULL;
        assert_int_equal(hl_json_find_string(escaped, strlen(escaped), "a/\"\\\b\f\n\r\tb", &value, &err), 0);
        assert_string_equal(value, "x");
        free(value);
}

/* As Python and nlohmann have it. */
static void of_two_the_last_counts(void **state)
{
        (void)state;
        expect_found("{\"model\":\"x\",\n\"model\":\"y\"}", "y");
        expect_found("{\"model\":1,\"a\":{\"model\":\"z\"},\"\\u006dodel\":\"x\"}", "x");
        expect_found("{\"a\":1,\"a\":2,\"model\":\"x\"}", "x");
        REFUSED("{\"model\":\"x\",\"model\":1}", "invalid_value", "\"model\" must be a string");
        REFUSED("{\"model\":\"x\",\"model\":{\"model\":\"x\"}}", "invalid_value", "\"model\" must be a string");
}

/* What Python's json module reads beyond the standard. */
static void numbers_that_are_none_and_surrogates_are_passed(void **state)
{
        (void)state;
        expect_found("{\"a\":[NaN,Infinity,-Infinity,-0,1E400,1.5e-3],\"model\":\"x\"}", "x");
        expect_found("{\"model\":\"a\\ud83d\"}", "a\xED\xA0\xBD"); /* as no name is */
        expect_found("{\"model\":\"\\ude00\\ud83d\"}", "\xED\xB8\x80\xED\xA0\xBD");
        expect_found("{\"a\":\"\xED\xA0\xBD\",\"model\":\"x\"}", "x");
        static const char *const bad[] = { "nan", "-NaN", "+1",  ".5",      "1.", "1e",
                                           "--1", "0x1",  "1_0", "Infinit", "-",  "True" };
        for (size_t i = 0; i < HL_COUNT(bad); i++) {
                char *text = hl_format("{\"a\":%s}", bad[i]);
                expect_refusal(text, strlen(text), "invalid_json", "expected");
                free(text);
        }
}

/* UTF-16 or UTF-32 of a text that is all ASCII or in the Basic Multilingual Plane. */
static void widen(const char *ascii, size_t unit, bool big_endian, struct hl_buf *out)
{
        for (; *ascii; ascii++)
                for (size_t i = 0; i < unit; i++)
                        hl_buf_add(out, i == (big_endian ? unit - 1 : 0) ? ascii : "", 1);
}

static void every_encoding_of_json_is_read(void **state)
{
        (void)state;
        static const struct {
                const char *mark;
                size_t mark_len, unit;
                bool big_endian;
        } encodings[] = {
                { "", 0, 1, false },
                { "\xEF\xBB\xBF", 3, 1, false },
                { "", 0, 2, false },
                { "", 0, 2, true },
                { "\xFF\xFE", 2, 2, false },
                { "\xFE\xFF", 2, 2, true },
                { "", 0, 4, false },
                { "", 0, 4, true },
                { "\xFF\xFE\0\0", 4, 4, false },
                { "\0\0\xFE\xFF", 4, 4, true },
        };
        for (size_t i = 0; i < HL_COUNT(encodings); i++) {
                struct hl_buf text = { 0 };
                struct hl_err err;
                char *value = NULL;
                hl_buf_add(&text, encodings[i].mark, encodings[i].mark_len);
                widen("{\"model\":\"x\"}", encodings[i].unit, encodings[i].big_endian, &text);
                assert_int_equal(find_in(text.data, text.len, &value, &err), 0);
                assert_string_equal(value, "x");
                free(value);
                hl_buf_add(&text, "", encodings[i].unit > 1); /* half a character, if it is not one */
                assert_int_equal(find_in(text.data, text.len, &value, &err), encodings[i].unit > 1 ? -EINVAL : 0);
                if (encodings[i].unit == 1)
                        free(value);
                hl_buf_free(&text);
        }
        static const char pair[] =
                "\xFF\xFE{\0\"\0m\0o\0d\0e\0l\0\"\0:\0\"\0\x3D\xD8\0\xDE\"\0}"; /* its NUL is the last */
        struct hl_err err;
        char *value = NULL;
        assert_int_equal(find_in(pair, sizeof(pair), &value, &err), 0);
        assert_string_equal(value, "\xF0\x9F\x98\x80");
        free(value);
        REFUSED("\xFF\xFE\0\0\0\0\x11\0", "invalid_json", "send it in UTF-8"); /* U+110000 */
}

static void what_is_no_utf8_says_who_sends_that(void **state)
{
        (void)state;
        REFUSED("{\"a\":1,\n \"b\":\"caf\xE9\"}", "invalid_json", "line 2, column 10: expected valid UTF-8");
        REFUSED("{\"model\":\"\xC3\"}", "invalid_json", "PowerShell 5");
        REFUSED("{\"a\":\"\xF5\x80\x80\x80\"}", "invalid_json", "UTF-8");
        REFUSED("{\"a\":\"\xC0\xAF\"}", "invalid_json", "UTF-8");
}

static void other_values_are_refused(void **state)
{
        (void)state;
        static const char *const values[] = { "1", "null", "true", "[\"x\"]", "{\"model\":\"x\"}" };
        for (size_t i = 0; i < HL_COUNT(values); i++) {
                char *text = hl_format("{\"model\":%s}", values[i]);
                expect_refusal(text, strlen(text), "invalid_value", "\"model\" must be a string");
                free(text);
        }
        REFUSED("{\"model\":\"x\\u0000y\"}", "invalid_value", "without NUL");
}

static void the_grammar_is_checked(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "",
                "[]",
                "\"model\"",
                "{",
                "{\"model\"",
                "{\"model\":",
                "{\"model\":\"x",
                "{\"model\":\"x\"",
                "{\"model\":\"x\"}x",
                "{\"model\":\"x\"}{}",
                "{\"model\":\"x\",}",
                "{\"a\":01,\"model\":\"x\"}",
                "{model:\"x\"}",
                "{\"\\u006\":1}",
                "{\"\\",
                "{\"\\u00",
                "{\"model\":\"\xff\"}",
                "{\"\xff\":1}",
                "{\"a\n\":1}",
        };
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                expect_refusal(bad[i], strlen(bad[i]), "invalid_json", "line ");
        REFUSED("{\"model\":\"x\"}\0", "invalid_json", "nothing after");
        REFUSED("{\"model\":\"x\0y\"}", "invalid_json", "control");
        REFUSED("{\"mod\0el\":\"x\"}", "invalid_json", "control");
}

static void nesting_has_a_limit(void **state)
{
        (void)state;
        for (int extra = 0; extra <= 1; extra++) {
                struct hl_buf text = { 0 };
                int arrays = HL_JSON_FIND_DEPTH_MAX - 1 + extra;
                hl_buf_adds(&text, "{\"a\":");
                for (int i = 0; i < arrays; i++)
                        hl_buf_adds(&text, "[");
                for (int i = 0; i < arrays; i++)
                        hl_buf_adds(&text, "]");
                hl_buf_adds(&text, ",\"model\":\"x\"}");
                if (extra)
                        expect_refusal(text.data, text.len, "invalid_json", "less nesting");
                else
                        expect_found(text.data, "x");
                hl_buf_free(&text);
        }
}

static void add_many(struct hl_buf *text, char byte, size_t count)
{
        char *bytes = hl_alloc(count);
        memset(bytes, byte, count);
        hl_buf_add(text, bytes, count);
        free(bytes);
}

/* {"image":"AA…","model":"xx…"} with a value of so many bytes, its quotes too. */
static struct hl_buf large_body(size_t value_len)
{
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, "{\"image\":\"");
        add_many(&text, 'A', 5 * 1024 * 1024);
        hl_buf_adds(&text, "\",\"model\":\"");
        add_many(&text, 'x', value_len - 2);
        hl_buf_adds(&text, "\"}");
        return text;
}

static void the_value_has_a_limit_and_the_body_has_none(void **state)
{
        (void)state;
        struct hl_err err;
        char *value = NULL;
        struct hl_buf text = large_body(HL_JSON_FIND_VALUE_MAX);
        assert_int_equal(find_in(text.data, text.len, &value, &err), 0);
        assert_int_equal(strlen(value), HL_JSON_FIND_VALUE_MAX - 2);
        free(value);
        hl_buf_free(&text);
        text = large_body(HL_JSON_FIND_VALUE_MAX + 1);
        assert_int_equal(find_in(text.data, text.len, &value, &err), -EINVAL);
        assert_string_equal(err.message, "\"model\" must be a string of at most 65536 bytes");
        hl_buf_free(&text);
}

/* Each would take minutes, or gigabytes, if anything were kept for each key or a key's path were built. */
static void hostile_bodies_take_no_long_time(void **state)
{
        (void)state;
        enum { HALF = 4 * 1024 * 1024 };
        uint64_t began_us = hl_clock_monotonic();
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, "{\"");
        add_many(&text, 'k', HALF); /* a long path above many keys */
        hl_buf_adds(&text, "\":{\"\":0");
        for (unsigned i = 0; text.len < 2 * HALF; i++)
                hl_buf_addf(&text, ",\"%x\":{}", i);
        hl_buf_adds(&text, "},\"model\":\"x\"}");
        expect_found(text.data, "x");
        hl_buf_free(&text);

        hl_buf_adds(&text, "{\"\":0");
        while (text.len < HALF)
                hl_buf_adds(&text, ",\"\\u006d\\u006f\\u0064\\u0065\\u0078\":0");
        hl_buf_adds(&text, ",\"model\":\"x\"}");
        expect_found(text.data, "x");
        hl_buf_free(&text);
        assert_true(hl_clock_monotonic() - began_us < TEST_TIMEOUT_US);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(finds_the_value_wherever_it_stands),
                cmocka_unit_test(absent_is_no_error),
                cmocka_unit_test(nested_keys_are_others),
                cmocka_unit_test(escapes_are_decoded),
                cmocka_unit_test(of_two_the_last_counts),
                cmocka_unit_test(numbers_that_are_none_and_surrogates_are_passed),
                cmocka_unit_test(every_encoding_of_json_is_read),
                cmocka_unit_test(what_is_no_utf8_says_who_sends_that),
                cmocka_unit_test(other_values_are_refused),
                cmocka_unit_test(the_grammar_is_checked),
                cmocka_unit_test(nesting_has_a_limit),
                cmocka_unit_test(the_value_has_a_limit_and_the_body_has_none),
                cmocka_unit_test(hostile_bodies_take_no_long_time),
        };
        return cmocka_run_group_tests_name("json_find", tests, NULL, NULL);
}
