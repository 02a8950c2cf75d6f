/* SPDX-License-Identifier: MIT */
/* model-router/form: which value a field of an urlencoded form has. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/content.h"
#include "model-router/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int field(const char *type, const char *body, size_t len, char **ret_value, struct hl_err *err)
{
        char *copy = hl_alloc(len); /* of this length, so that a read past its end is seen */
        memcpy(copy, body, len);
        *err = (struct hl_err){ 0 };
        int r = hl_form_field(type, copy, len, "model", ret_value, err);
        free(copy);
        return r;
}

static void expect(const char *type, const char *body, const char *expected)
{
        struct hl_err err;
        char untouched, *value = &untouched;
        int r = field(type, body, strlen(body), &value, &err);
        if (r != 0 || (expected ? !value || strcmp(value, expected) != 0 : value != NULL))
                fail_msg("%s: %d %s", body, r, r == 0 && value ? value : err.message);
        free(value);
}

#define FOUND(body, expected) expect(HL_FORM_TYPE, body, expected)
#define ABSENT(body) expect(HL_FORM_TYPE, body, NULL)

static void fields_as_clients_send_them(void **state)
{
        (void)state;
        FOUND("model=tiny", "tiny");
        FOUND("a=b&model=tiny&c=d", "tiny");
        FOUND("model=Qwen%2FQwen3-8B&x", "Qwen/Qwen3-8B");
        FOUND("m%6fde%6C=t+i%20n%2By", "t i n+y");
        FOUND("model=a=b", "a=b");
        FOUND("model=", "");
        FOUND("model", "");
        FOUND("&&model=x&&", "x");
        FOUND("model=caf%C3%A9", "caf\xC3\xA9");
        FOUND("model=100%&x", "100%"); /* what is no escape means itself */
        FOUND("model=%zz%4", "%zz%4");
        FOUND("model=x;a=b", "x;a=b");
}

static void what_is_not_the_field(void **state)
{
        (void)state;
        ABSENT("");
        ABSENT("&");
        ABSENT("=model");
        ABSENT("models=x&mode=x&Model=x&+model=x&model[]=x&model%00=x");
        ABSENT("a=model%3Dx");
        ABSENT("a=b;model=x");
}

/* As for the other forms and JSON. */
static void of_two_the_last_counts(void **state)
{
        (void)state;
        FOUND("model=x&model=y", "y");
        FOUND("model=x&a=b&model=", "");
}

static void the_charset_counts(void **state)
{
        (void)state;
        expect(HL_FORM_TYPE "; charset=ISO-8859-1", "model=caf%E9", "caf\xC3\xA9");
        expect(HL_FORM_TYPE ";charset=utf-8", "model=caf\xC3\xA9", "caf\xC3\xA9");
        expect(NULL, "model=x", "x");
}

static void what_is_no_text_is_refused(void **state)
{
        (void)state;
        static const struct {
                const char *body, *words;
        } cases[] = {
                { "model=caf%E9", "send the form in UTF-8" },
                { "model=x%00", "without NUL" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_err err;
                char untouched, *value = &untouched;
                assert_int_equal(field(HL_FORM_TYPE, cases[i].body, strlen(cases[i].body), &value, &err), -EINVAL);
                assert_ptr_equal(value, &untouched);
                assert_string_equal(err.code, "invalid_value");
                assert_non_null(strstr(err.message, cases[i].words));
        }
}

static void the_value_has_a_limit_and_the_form_has_none(void **state)
{
        (void)state;
        struct hl_buf body = { 0 };
        struct hl_err err;
        char *value = NULL;
        while (body.len < 4 * 1024 * 1024)
                hl_buf_adds(&body, "%6dodex&model=%&");
        hl_buf_adds(&body, "model=");
        for (size_t i = 0; i < HL_FIELD_VALUE_MAX; i++)
                hl_buf_adds(&body, "%78");
        uint64_t began_us = hl_clock_monotonic();
        assert_int_equal(field(HL_FORM_TYPE, body.data, body.len, &value, &err), 0);
        assert_int_equal(strlen(value), HL_FIELD_VALUE_MAX);
        free(value);
        hl_buf_adds(&body, "x");
        assert_int_equal(field(HL_FORM_TYPE, body.data, body.len, &value, &err), -EINVAL);
        assert_non_null(strstr(err.message, "at most 65536 bytes"));
        assert_true(hl_clock_monotonic() - began_us < TEST_TIMEOUT_US);
        hl_buf_free(&body);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields_as_clients_send_them),
                cmocka_unit_test(what_is_not_the_field),
                cmocka_unit_test(of_two_the_last_counts),
                cmocka_unit_test(the_charset_counts),
                cmocka_unit_test(what_is_no_text_is_refused),
                cmocka_unit_test(the_value_has_a_limit_and_the_form_has_none),
        };
        return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
