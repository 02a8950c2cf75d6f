/* SPDX-License-Identifier: MIT */
/* model-router/multipart: which value a field has, in forms as clients send them and as an attacker would. */
#include "support.h"

#include "base/mem.h"
#include "http/content.h"
#include "model-router/multipart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=b"
#define PART(headers, content) "--b\r\n" headers "\r\n\r\n" content "\r\n"
#define FIELD(name, value) PART("Content-Disposition: form-data; name=\"" name "\"", value)
#define END "--b--\r\n"

static int field(const char *type, const char *body, size_t len, char **ret_value)
{
        char *copy = hl_alloc(len); /* of this length, so that a read past its end is seen */
        memcpy(copy, body, len);
        struct hl_err err = { 0 };
        int r = hl_multipart_field(type, copy, len, "model", ret_value, &err);
        assert_int_equal(err.kind, r < 0 ? HL_ERR_INVALID : HL_ERR_NONE);
        free(copy);
        return r;
}

static void expect_typed(const char *type, const char *body, size_t len, int result, const char *expected)
{
        char untouched, *value = &untouched;
        int r = field(type, body, len, &value);
        if (r != result || (r == 0 && (expected ? !value || strcmp(value, expected) != 0 : value != NULL)))
                fail_msg("%s\n%.*s: %d %s", type, (int)len, body, r, r == 0 && value ? value : "");
        if (r < 0)
                assert_ptr_equal(value, &untouched);
        else
                free(value);
}

#define FOUND(body, expected) expect_typed(TYPE, body, sizeof(body) - 1, 0, expected)
#define ABSENT(body) expect_typed(TYPE, body, sizeof(body) - 1, 0, NULL)
#define REFUSED(body) expect_typed(TYPE, body, sizeof(body) - 1, -EINVAL, NULL)

static void a_boundary_is_read_in_each_of_its_forms(void **state)
{
        (void)state;
        static const char body[] = FIELD("model", "x") END;
        static const char *const good[] = {
                TYPE,
                "multipart/form-data;boundary=b",
                "multipart/form-data; boundary=\"b\"",
                "multipart/form-data; charset=utf-8; BOUNDARY=b",
                "multipart/form-data; boundary=b; charset=utf-8",
                "multipart/form-data; x=\"; boundary=c\"; boundary=b",
                "multipart/form-data; x=\"\\\"; boundary=c; \"; boundary=b",
                "multipart/form-data; boundary=\"b \"",
                "multipart/form-data ; boundary = b ",
        };
        static const char *const bad[] = {
                "multipart/form-data",
                "multipart/form-data; boundary",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=\"\"",
                "multipart/form-data; boundary=c",
                "multipart/form-data; boundary=bb",
                "multipart/form-data; boundary=\" \"",
                "multipart/form-data; xboundary=b",
        };
        for (size_t i = 0; i < HL_COUNT(good); i++)
                expect_typed(good[i], body, sizeof(body) - 1, 0, "x");
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                expect_typed(bad[i], body, sizeof(body) - 1, -EINVAL, NULL);
        expect_typed("multipart/form-data; boundary="
                     "1234567890123456789012345678901234567890123456789012345678901234567890",
                     "--1234567890123456789012345678901234567890123456789012345678901234567890--", 74, 0, NULL);
        expect_typed("multipart/form-data; boundary=" /* longer than the standard has it: read by all, so by us */
                     "12345678901234567890123456789012345678901234567890123456789012345678901",
                     "--12345678901234567890123456789012345678901234567890123456789012345678901--", 75, 0, NULL);
        expect_typed("multipart/form-data; boundary=\"x y'()+_,-./:=?\"",
                     "--x y'()+_,-./:=?\r\nContent-Disposition: a; name=model\r\n\r\nx\r\n--x y'()+_,-./:=?--", 79, 0,
                     "x");
}

static void fields_as_clients_send_them(void **state)
{
        (void)state;
        FOUND(FIELD("model", "whisper-1") END, "whisper-1");
        FOUND(FIELD("model", "x") "--b--", "x"); /* without the last line's end */
        FOUND(FIELD("model", "") END, "");
        FOUND(FIELD("a", "y") FIELD("model", "x") FIELD("c", "z") END, "x");
        FOUND(PART("content-disposition:form-data;name=model", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; Name=\"model\"", "x") END, "x");
        FOUND(PART("Content-Type: text/plain\r\nContent-Disposition: form-data; name=model ; a=b", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; size=\"1\"; name=\"model\"", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav",
                   "RIFF\0\r\n--\r\n\r\n-b--\r\n--a") FIELD("model", "x") END,
              "x");
        FOUND(FIELD("model", "two\r\nlines\r\n") END, "two\r\nlines\r\n");
        FOUND(FIELD("model", "x") END "an epilogue", "x");
        FOUND(PART("Content-Disposition: form-data;\r\n\tname=\"model\"", "x") END, "x"); /* folded */
        FOUND(PART("Content-Disposition: form-data; name = \"model\"", "x") END, "x");
        FOUND("--b \t\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--b-- \t", "x");
        FOUND("\r\n" FIELD("model", "x") END, "x");
        FOUND("a preamble\r\n--bb\r\n" FIELD("model", "x") END, "x");
}

/* RFC 2231, which RFC 7578 does not want and Python reads. */
static void names_with_a_star(void **state)
{
        (void)state;
        FOUND(PART("Content-Disposition: form-data; name*=utf-8''model", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; name*=UTF-8'en'm%6fdel", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; name*1=del; name*0=\"mo\"", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; name*0*=utf-8''m%6f; name*1=del", "x") END, "x");
        ABSENT(PART("Content-Disposition: form-data; name=other; name*=utf-8''model", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name*=utf-8''m%zzodel", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name*0=mo; name*2=del", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=\"m%6fdel\"", "x") END);
}

static void lines_may_end_in_other_ways(void **state)
{
        (void)state;
        FOUND("--b\nContent-Disposition: form-data; name=\"model\"\n\nx\n--b--\n", "x");
        FOUND("--b\rContent-Disposition: form-data; name=\"model\"\r\rx\r--b--\r", "x");
        FOUND("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\n\r\n--b--", "x\n"); /* one goes */
        FOUND("--b\nContent-Disposition: form-data; name=\"model\"\n\n--b--", ""); /* and here is none to go */
}

static void a_file_is_no_field(void **state)
{
        (void)state;
        ABSENT(PART("Content-Disposition: form-data; name=model; filename=\"a\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=model; filename=\"\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=model; filename*=utf-8''a", "x") END);
        FOUND(FIELD("model", "x") PART("Content-Disposition: form-data; name=model; filename=a", "y") END, "x");
        ABSENT(PART("Content-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=bb",
                    "--bb\r\nContent-Disposition: form-data; name=model\r\n\r\nx\r\n--bb--") END);
}

#define ENCODED(how, value)                                                                                            \
        PART("Content-Disposition: form-data; name=model\r\nContent-Transfer-Encoding: " how, value) END
#define CHARSET(charset, value)                                                                                        \
        PART("Content-Disposition: form-data; name=model\r\nContent-Type: text/plain; charset=" charset, value) END

static void values_are_decoded(void **state)
{
        (void)state;
        FOUND(ENCODED("base64", "dGlueQ=="), "tiny");
        FOUND(ENCODED("BASE64 ", "dGlu\r\neTE=\r\n"), "tiny1");
        FOUND(ENCODED("quoted-printable", "t=69n=\r\ny=3D=zz="), "tiny==zz=");
        FOUND(ENCODED("8bit", "=69"), "=69");
        FOUND(ENCODED("other", "=69"), "=69");
        REFUSED(ENCODED("base64", "dGlueQ"));
        REFUSED(ENCODED("base64", "dGlu*Q=="));
        REFUSED(ENCODED("base64", "dGlueQ==dGlu"));
        FOUND(CHARSET("utf-8", "\xC3\xA9"), "\xC3\xA9");
        FOUND(CHARSET("\"ISO-8859-1\"", "\xE9"), "\xC3\xA9");
        FOUND(CHARSET("us-ascii", "x"), "x");
        REFUSED(CHARSET("utf-8", "\xE9"));
        REFUSED(CHARSET("utf-16", "x\0"));
        REFUSED(FIELD("model", "\xE9") END);
}

static void what_is_not_the_field(void **state)
{
        (void)state;
        ABSENT("--b--");
        ABSENT(END);
        ABSENT(FIELD("models", "x") FIELD("mode", "x") FIELD("Model", "x") FIELD("", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=\"file\"; filename=\"model\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; filename=\"; name=model\"; name=\"file\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; filename=\"\\\"; name=model; \\\"\"; name=\"file\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; filename=\"a\\", "x") END);
        ABSENT(PART("Content-Disposition: form-data; filename=model", "x") END);
        ABSENT(PART("Content-Disposition: form-data", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=\"model\0x\"", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=model\0", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name*=utf-8''model%00", "x") END);
        ABSENT(PART("Content-Disposition: form-data; name=model; filename=\"\0\"", "x") END);
        ABSENT(PART("Content-Type: x; name=model", "x") END);
        ABSENT(PART("X-Content-Disposition: form-data; name=model", "x") END);
        ABSENT("--b\r\n\r\nContent-Disposition: form-data; name=model\r\n--b--"); /* a part without headers */
        ABSENT(FIELD("file", "Content-Disposition: form-data; name=\"model\"\r\n\r\nx") END);
}

static void what_is_no_form(void **state)
{
        (void)state;
        REFUSED("");
        REFUSED("--b");
        REFUSED("--b-");
        REFUSED("--b\r\n");
        REFUSED("--c\r\n\r\n\r\n--c--");
        REFUSED("\r\n" END);
        REFUSED("a preamble\r\n" END);
        REFUSED(FIELD("model", "x"));       /* without an end */
        REFUSED(FIELD("model", "x") "--b"); /* cut off */
        REFUSED(FIELD("model", "x") "--b-");
        REFUSED(FIELD("model", "x") "--b ");
        REFUSED(FIELD("model", "x") "--bb\r\n\r\n\r\n");
        REFUSED("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n--b--"); /* headers without an end */
        REFUSED("--b\r\n--b\r\n" END);
        REFUSED(PART("Content-Disposition: form-data; name=model\r\nno header", "x") END);
        REFUSED(PART("Content-Disposition : form-data; name=model", "x") END);
        REFUSED(PART(": x", "x") END);
        REFUSED(FIELD("model", "x") "--b--x");
        REFUSED("--bContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--b--");
        REFUSED(FIELD("model", "--b") END); /* a boundary that its content has */
        REFUSED(FIELD("model", "x\0y") END);
}

/* As Starlette and llama.cpp have it; Werkzeug takes the first. */
static void of_two_the_last_counts(void **state)
{
        (void)state;
        FOUND(FIELD("model", "x") FIELD("model", "y") END, "y");
        FOUND(FIELD("model", "y") FIELD("a", "z") FIELD("model", "x") END, "x");
        FOUND(FIELD("model", "x") FIELD("model", "") END, "");
}

static void a_value_has_a_limit(void **state)
{
        (void)state;
        for (size_t len = HL_FIELD_VALUE_MAX; len < 8 * HL_FIELD_VALUE_MAX;
             len = len == HL_FIELD_VALUE_MAX ? len + 1 : 4 * len) {
                struct hl_buf body = { 0 };
                char *value = NULL;
                hl_buf_adds(&body, "--b\r\nContent-Disposition: form-data; name=model\r\n\r\n");
                for (size_t i = 0; i < len; i++)
                        hl_buf_adds(&body, "x");
                hl_buf_adds(&body, "\r\n" END);
                assert_int_equal(field(TYPE, body.data, body.len, &value), len > HL_FIELD_VALUE_MAX ? -EINVAL : 0);
                assert_int_equal(value ? strlen(value) : 0, len > HL_FIELD_VALUE_MAX ? 0 : len);
                free(value);
                hl_buf_free(&body);
        }
}

/* Each piece again and again, behind a beginning. */
static void hostile_bodies_are_read_to_their_end(void **state)
{
        (void)state;
        static const struct {
                const char *begins, *piece, *ends;
                int result;
        } cases[] = {
                { "", "--b\r\na:b\r\n\r\n\r\n", END, 0 },
                { "--b\r\n\r\n", "\r\n--", "\r\n" END, 0 },
                { "--b\r\n\r\n", "\r\n\r\n", "\r\n" END, 0 },
                { "--b\r\n", "\r\n--b\r\n", END, -EINVAL },
                { "--b\r\nContent-Disposition: form-data", "; x", "\r\n\r\n\r\n" END, 0 },
                { "--b\r\nContent-Disposition: form-data", ";\"", "\r\n\r\n\r\n" END, 0 },
                { "--b\r\n", "Content-Disposition:\r\n", "\r\n\r\n" END, 0 },
                { "--b\r\n", "Content-Disposition\r\n", "\r\n\r\n" END, -EINVAL },
                { "--b\r\nContent-Disposition:", ";name*0=a", "\r\n\r\n\r\n" END, 0 },
                { "--b\r\n\r\n", "\r\n--b x", "\r\n" END, 0 },
                { "", "--b\r\nContent-Disposition:;name=a\r\n\r\n\r\n", "", -EINVAL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_buf body = { 0 };
                hl_buf_adds(&body, cases[i].begins);
                while (body.len < 256 * 1024)
                        hl_buf_adds(&body, cases[i].piece);
                hl_buf_adds(&body, cases[i].ends);
                char *value = NULL;
                int r = field(TYPE, body.data, body.len, &value);
                if (r != cases[i].result || value)
                        fail_msg("case %zu: %d", i, r);
                hl_buf_free(&body);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_boundary_is_read_in_each_of_its_forms),
                cmocka_unit_test(fields_as_clients_send_them),
                cmocka_unit_test(what_is_not_the_field),
                cmocka_unit_test(what_is_no_form),
                cmocka_unit_test(names_with_a_star),
                cmocka_unit_test(lines_may_end_in_other_ways),
                cmocka_unit_test(a_file_is_no_field),
                cmocka_unit_test(values_are_decoded),
                cmocka_unit_test(of_two_the_last_counts),
                cmocka_unit_test(a_value_has_a_limit),
                cmocka_unit_test(hostile_bodies_are_read_to_their_end),
        };
        return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
