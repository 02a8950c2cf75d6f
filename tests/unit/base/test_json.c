/* SPDX-License-Identifier: MIT */
/* base/json: strict reading, and writing. */
#include "support.h"

#include "base/json.h"
#include "base/json_walk.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, struct hl_err *err)
{
        hl_json *json = NULL;
        *err = (struct hl_err){ 0 };
        int r = hl_json_parse(text, strlen(text), &json, err);
        if (r < 0)
                assert_null(json);
        hl_json_free(json);
        return r;
}

/* With every json-c: 0.18 has refused them. */
static void texts_that_are_not_ascii_are_read(void **state)
{
        (void)state;
        static const char text[] = "{\"\xC3\xA9\":\"\xC3\xA9 \xF0\x9F\xA6\x99\",\"list\":[\"\xE2\x80\xA8\"]}";
        hl_json *json;
        struct hl_err err = { 0 };
        assert_int_equal(hl_json_parse(text, sizeof(text) - 1, &json, &err), 0);
        assert_string_equal(hl_json_get_string(json, "\xC3\xA9"), "\xC3\xA9 \xF0\x9F\xA6\x99");
        assert_string_equal(hl_json_string_at(hl_json_get_array(json, "list"), 0), "\xE2\x80\xA8");
        hl_json_free(json);
}

static void accepts_objects_of_the_grammar(void **state)
{
        (void)state;
        static const char *const good[] = {
                "{}",
                " \t\r\n{ } \n",
                "{\"a\":1,\"b\":[1,2,{\"a\":null}],\"c\":\"\\u00e9\\n\\\"\",\"d\":-0.5e+3,\"e\":true,\"f\":false}",
                "{\"a\":{\"a\":{\"a\":0}}}",
                "{\"\":1}",
                "{\"a\":\"\\ud83d\\ude00\"}",
                "{\"a\":[]}",
                "{\"a\":[99999999999999999999,-99999999999999999999,1e999]}",
        };
        struct hl_err err;
        for (size_t i = 0; i < HL_COUNT(good); i++)
                if (parse(good[i], &err) != 0)
                        fail_msg("%s: %s", good[i], err.message);
}

static void refuses_what_is_not_the_grammar(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "",
                " ",
                "[]",
                "1",
                "null",
                "\"a\"",
                "{",
                "}",
                "{}}",
                "{} {}",
                "{}x",
                "{a:1}",
                "{'a':1}",
                "{\"a\"}",
                "{\"a\":}",
                "{\"a\":1,}",
                "{,\"a\":1}",
                "{\"a\" 1}",
                "{\"a\":01}",
                "{\"a\":1.}",
                "{\"a\":.5}",
                "{\"a\":+1}",
                "{\"a\":-}",
                "{\"a\":1e}",
                "{\"a\":12x}",
                "{\"a\":0x10}",
                "{\"a\":NaN}",
                "{\"a\":Infinity}",
                "{\"a\":True}",
                "{\"a\":tru}",
                "{\"a\":[1,]}",
                "{\"a\":[1 2]}",
                "{\"a\":\"\\x\"}",
                "{\"a\":\"\\u12g4\"}",
                "{\"a\":\"b\n\"}",
                "{\"a\":\"b\t\"}",
                "{\"a\":\"b}",
                "{\"a\":\"\xff\"}",
                "{\"a\":\"\xc3\"}",
                "{\"a\\u0000b\":1}",
                "{\"a\":1}//x",
                "/**/{\"a\":1}",
                "\xef\xbb\xbf{}",
        };
        struct hl_err err;
        for (size_t i = 0; i < HL_COUNT(bad); i++) {
                if (parse(bad[i], &err) != -EINVAL)
                        fail_msg("accepted: %s", bad[i]);
                assert_int_equal(err.kind, HL_ERR_INVALID);
                assert_non_null(strstr(err.message, "line 1"));
        }
        assert_int_equal(hl_json_parse("{}\0", 3, NULL, &err), -EINVAL);
}

static void refuses_duplicate_keys(void **state)
{
        (void)state;
        struct hl_err err;
        assert_int_equal(parse("{\"a\":1,\n\"b\":2,\n\"a\":3}", &err), -EINVAL);
        assert_string_equal(err.code, "duplicate_key");
        assert_string_equal(err.message, "line 3: the key \"a\" appears twice");
        assert_int_equal(parse("{\"a\":1,\"\\u0061\":2}", &err), -EINVAL);
        assert_string_equal(err.code, "duplicate_key");
        assert_int_equal(parse("{\"x\":[{\"a\":1,\"a\":2}]}", &err), -EINVAL);
        assert_int_equal(parse("{\"x\":{\"a\":1},\"y\":{\"a\":1}}", &err), 0);
}

static void tells_the_line(void **state)
{
        (void)state;
        struct hl_err err;
        parse("{\n\"a\": 1,\n\"b\": tru\n}", &err);
        assert_string_equal(err.message, "line 3: expected a value");
        parse("\xEF\xBB\xBF{}", &err);
        assert_string_equal(err.message, "line 1: expected no byte order mark: save it as UTF-8 without one");
        parse("{\"a\": True}", &err);
        assert_string_equal(err.message, "line 1: expected true, false or null, in small letters");
        parse("{\"a\":\nNone}", &err);
        assert_string_equal(err.message, "line 2: expected true, false or null, in small letters");
        parse("{\n\"a\": 1\n}\n\nx", &err);
        assert_string_equal(err.message, "line 5: expected nothing after the object");
}

static void limits_nesting(void **state)
{
        (void)state;
        struct hl_err err;
        char text[4 * HL_JSON_DEPTH_MAX + 8];
        for (int levels = HL_JSON_DEPTH_MAX - 1; levels <= HL_JSON_DEPTH_MAX; levels++) {
                /* The object is a level, and its value another. */
                int arrays = levels - 1;
                snprintf(text, sizeof(text), "{\"a\":%.*s%.*s}", arrays, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                         arrays, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
                assert_int_equal(parse(text, &err), 0);
        }
        snprintf(text, sizeof(text), "{\"a\":%.*s1", HL_JSON_DEPTH_MAX, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
        assert_int_equal(parse(text, &err), -EINVAL);
        assert_non_null(strstr(err.message, "less nesting"));
}

static void finds_the_line_of_a_key(void **state)
{
        (void)state;
        static const char text[] = "{\n \"a\": {\n  \"b\": 1,\n  \"c\": [\n {\"d\": 1}]\n },\n \"b\": 2\n}";
        assert_int_equal(hl_json_line_of(text, strlen(text), "a"), 2);
        assert_int_equal(hl_json_line_of(text, strlen(text), "a.b"), 3);
        assert_int_equal(hl_json_line_of(text, strlen(text), "a.c"), 4);
        assert_int_equal(hl_json_line_of(text, strlen(text), "b"), 7);
        assert_int_equal(hl_json_line_of(text, strlen(text), "a.x"), 1);
        assert_int_equal(hl_json_line_of("", 0, "a"), 1);
}

static void prints_each_kind_of_value(void **state)
{
        (void)state;
        struct hl_buf out = { 0 };
        hl_json *json = hl_json_new(), *array = hl_json_new_array();
        hl_json_set_string(json, "text", "a/\"b\"\n\xC3\xA9");
        hl_json_set_string(json, "none", NULL);
        hl_json_set_bool(json, "yes", true);
        hl_json_set_int(json, "large", INT64_MIN);
        hl_json_set_int_or_null(json, "known", true, 7);
        hl_json_set_int_or_null(json, "unknown", false, 7);
        hl_json_set_decimal(json, "half", 0.5, 2);
        hl_json_set_decimal(json, "nan", NAN, 2);
        hl_json_set_decimal(json, "inf", INFINITY, 2);
        hl_json_set_time(json, "never", 0);
        hl_json_push_string(array, "x");
        hl_json_push(array, hl_json_new());
        hl_json_set(json, "list", array);
        hl_json_set_int(json, "yes", 2); /* a key that is there gets the new value */
        hl_json_print(json, &out);
        assert_string_equal(
                out.data, "{\"text\":\"a/\\\"b\\\"\\n\xC3\xA9\",\"none\":null,\"yes\":2,\"large\":-9223372036854775808,"
                          "\"known\":7,\"unknown\":null,\"half\":0.50,\"nan\":null,\"inf\":null,\"never\":null,"
                          "\"list\":[\"x\",{}]}\n");
        hl_json_free(json);
        hl_buf_free(&out);
}

static void replaces_bytes_that_are_no_text(void **state)
{
        (void)state;
        struct hl_buf out = { 0 };
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "a", "x\xff\xC3\xA9\xC3y\xF0\x9F\x98\x80\xF0\x9F");
        hl_json_print(json, &out);
        assert_string_equal(out.data, "{\"a\":\"x\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBDy\xF0\x9F\x98\x80\xEF\xBF\xBD"
                                      "\xEF\xBF\xBD\"}\n");
        hl_json_free(json);
        hl_buf_free(&out);
}

struct values {
        bool flag;
        int64_t count;
        double number, optional_number;
        const char *word, *text, *optional_text;
        const hl_json *list, *object;
};

static void note(void *data, const char *path, const char *problem)
{
        hl_buf_addf(data, "%s %s\n", path, problem);
}

static int read_values(const char *text, struct values *values, struct hl_buf *problems, hl_json **ret_json)
{
        const struct hl_json_field fields[] = {
                { "flag", HL_JSON_BOOL, &values->flag },
                { "count", HL_JSON_INTEGER, &values->count, "a whole number from 1 to 10", 1, 10 },
                { "number", HL_JSON_NUMBER, &values->number, .min = 0.5, .max = 100 },
                { "optional_number", HL_JSON_NUMBER, &values->optional_number, .max = 9, .nullable = true },
                { "word", HL_JSON_STRING, &values->word, "one or two", .choices = "one,two" },
                { "text", HL_JSON_STRING, &values->text, .max = 4 },
                { "optional_text", HL_JSON_STRING, &values->optional_text, .nullable = true },
                { "list", HL_JSON_STRINGS, &values->list },
                { "object", HL_JSON_OBJECT, &values->object },
        };
        struct hl_err err = { 0 };
        must(hl_json_parse(text, strlen(text), ret_json, &err) == 0);
        return hl_json_read(*ret_json, "at", fields, HL_COUNT(fields), note, problems);
}

static void reads_fields(void **state)
{
        (void)state;
        struct hl_buf problems = { 0 };
        struct values v = { .count = 7, .optional_text = "before" };
        hl_json *json;
        assert_int_equal(read_values("{\"flag\":true,\"number\":100,\"optional_number\":null,\"word\":\"two\","
                                     "\"text\":\"abcd\",\"optional_text\":null,\"list\":[\"a\",\"b\"],\"object\":{}}",
                                     &v, &problems, &json),
                         0);
        assert_true(v.flag);
        assert_int_equal(v.count, 7); /* absent: untouched */
        assert_true(v.number == 100);
        assert_true(isnan(v.optional_number));
        assert_string_equal(v.word, "two");
        assert_string_equal(v.text, "abcd");
        assert_null(v.optional_text);
        assert_int_equal(hl_json_length(v.list), 2);
        assert_string_equal(hl_json_string_at(v.list, 1), "b");
        assert_non_null(v.object);
        assert_int_equal(problems.len, 0);
        hl_json_free(json);
}

static void tells_every_wrong_field(void **state)
{
        (void)state;
        static const struct {
                const char *json, *problem;
        } wrong[] = {
                { "{\"flag\":1}", "at.flag must be true or false, not 1\n" },
                { "{\"flag\":null}", "at.flag must be true or false, not null\n" },
                { "{\"count\":0}", "at.count must be a whole number from 1 to 10, not 0\n" },
                { "{\"count\":11}", "at.count must be a whole number from 1 to 10, not 11\n" },
                { "{\"count\":1.0}", "at.count must be a whole number from 1 to 10, not 1.0\n" },
                { "{\"number\":0.4}", "at.number must be a number, not 0.4\n" },
                { "{\"number\":1e999}", "at.number must be a number, not " },
                { "{\"number\":\"1\"}", "at.number must be a number, not \"1\"\n" },
                { "{\"number\":null}", "at.number must be a number, not null\n" },
                { "{\"word\":\"three\"}", "at.word must be one or two, not \"three\"\n" },
                { "{\"word\":\"one,two\"}", "at.word must be one or two, not \"one,two\"\n" },
                { "{\"text\":\"abcde\"}", "at.text must be a string, not \"abcde\"\n" },
                { "{\"text\":\"a\\u0000\"}", "at.text must be a string, not \"a\\u0000\"\n" },
                { "{\"list\":[\"a\",1]}", "at.list must be an array of strings, not [\"a\",1]\n" },
                { "{\"list\":\"a\"}", "at.list must be an array of strings, not \"a\"\n" },
                { "{\"object\":[]}", "at.object must be an object, not []\n" },
                { "{\"Flag\":true}", "at.Flag is not a known key; known here are flag, count, number, optional_number, "
                                     "word, text, optional_text, list, object\n" },
                { "{\"a\\u001b[31m\":true}", "at.a?[31m is not a known key" },
                { "{\"flag\":1,\"count\":0,\"no\":1}",
                  "at.count must be a whole number from 1 to 10, not 0\nat.no is" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_buf problems = { 0 };
                struct values v = { .count = 7, .number = 8 };
                hl_json *json;
                assert_int_equal(read_values(wrong[i].json, &v, &problems, &json), -EINVAL);
                if (!test_contains(&problems, wrong[i].problem))
                        fail_msg("%s: %s", wrong[i].json, problems.data);
                assert_int_equal(v.count, 7);
                assert_true(v.number == 8);
                assert_null(v.word);
                assert_null(v.text);
                assert_null(v.list);
                assert_null(v.object);
                hl_json_free(json);
                hl_buf_free(&problems);
        }
}

static void a_number_of_more_than_64_bits_is_refused(void **state)
{
        (void)state;
        const char *text = "{\"count\":99999999999999999999}";
        int64_t count = 7;
        const struct hl_json_field fields[] = { { "count", HL_JSON_INTEGER, &count, "a whole number from 1 to 10", 1,
                                                  10 } };
        struct hl_buf problems = { 0 };
        hl_json *json = NULL;
        struct hl_err err = { 0 };
        must(hl_json_parse(text, strlen(text), &json, &err) == 0);
        assert_int_equal(hl_json_read(json, "at", fields, HL_COUNT(fields), note, &problems), -EINVAL);
        assert_true(test_contains(&problems, "at.count must be a whole number from 1 to 10, not "));
        assert_int_equal(count, 7);
        hl_json_free(json);
        hl_buf_free(&problems);
}

static void cuts_a_long_wrong_value(void **state)
{
        (void)state;
        struct hl_buf problems = { 0 };
        struct values v;
        hl_json *json;
        read_values("{\"text\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}", &v,
                    &problems, &json);
        assert_true(test_contains(&problems, "012345678\n"));
        assert_true(problems.len < 100);
        hl_json_free(json);
        hl_buf_free(&problems);
}

static double number_of(const char *text)
{
        double number = -1;
        struct hl_buf problems = { 0 };
        hl_json *json = NULL;
        struct hl_err err = { 0 };
        const struct hl_json_field fields[] = { { "n", HL_JSON_NUMBER, &number, NULL, 0, 100, .in_text = true } };
        HL_CLEANUP(hl_free_pointer) char *body = hl_format("{\"n\":%s}", text);
        must(hl_json_parse(body, strlen(body), &json, &err) == 0);
        int r = hl_json_read(json, "", fields, HL_COUNT(fields), note, &problems);
        assert_true((r < 0) == (problems.len > 0));
        hl_json_free(json);
        hl_buf_free(&problems);
        return r < 0 ? -1 : number;
}

static void a_number_may_stand_in_a_string_where_a_field_says_so(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                double number;
        } numbers[] = { { "30", 30 },       { "\"30\"", 30 },     { "\" 30\\n\"", 30 }, { "\"0.5\"", 0.5 },
                        { "\"1e2\"", 100 }, { "\"1.5E+1\"", 15 }, { "\"+5\"", 5 },      { "\"007\"", 7 },
                        { "\"-0\"", 0 },    { "\"100.0\"", 100 } };
        static const char *const none[] = { "\"\"",      "\" \"",         "\"nan\"", "\"inf\"",  "\"0x1e\"",
                                            "\"1e\"",    "\"1.\"",        "\".5\"",  "\"1 2\"",  "\"30s\"",
                                            "\"1,5\"",   "\"--1\"",       "\"-1\"",  "\"101\"",  "\"1e3\"",
                                            "\"1e999\"", "\"30\\u0000\"", "true",    "[\"30\"]", "\"1\\u00a0\"" };
        for (size_t i = 0; i < HL_COUNT(numbers); i++)
                if (number_of(numbers[i].text) < numbers[i].number || number_of(numbers[i].text) > numbers[i].number)
                        fail_msg("%s: %f", numbers[i].text, number_of(numbers[i].text));
        for (size_t i = 0; i < HL_COUNT(none); i++)
                if (number_of(none[i]) >= 0)
                        fail_msg("%s: %f", none[i], number_of(none[i]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_number_may_stand_in_a_string_where_a_field_says_so),
                cmocka_unit_test(a_number_of_more_than_64_bits_is_refused),
                cmocka_unit_test(accepts_objects_of_the_grammar),
                cmocka_unit_test(refuses_what_is_not_the_grammar),
                cmocka_unit_test(refuses_duplicate_keys),
                cmocka_unit_test(tells_the_line),
                cmocka_unit_test(limits_nesting),
                cmocka_unit_test(finds_the_line_of_a_key),
                cmocka_unit_test(prints_each_kind_of_value),
                cmocka_unit_test(replaces_bytes_that_are_no_text),
                cmocka_unit_test(reads_fields),
                cmocka_unit_test(tells_every_wrong_field),
                cmocka_unit_test(cuts_a_long_wrong_value),
                cmocka_unit_test(texts_that_are_not_ascii_are_read),
        };
        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
