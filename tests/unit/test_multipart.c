/* http/multipart: which value a field has, in forms as clients send them and as an attacker would. */
#include "support.h"

#include "base/mem.h"
#include "http/multipart.h"

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
        int r = hl_multipart_field(type, copy, len, "model", ret_value);
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

static void content_types(void **state)
{
        (void)state;
        assert_true(hl_multipart_is("multipart/form-data; boundary=x"));
        assert_true(hl_multipart_is("Multipart/Form-Data;boundary=x"));
        assert_true(hl_multipart_is("multipart/form-data"));
        assert_true(hl_multipart_is("multipart/form-data\t;boundary=x"));
        assert_false(hl_multipart_is("multipart/form-datax; boundary=x"));
        assert_false(hl_multipart_is("multipart/mixed; boundary=x"));
        assert_false(hl_multipart_is("application/json"));
        assert_false(hl_multipart_is(""));
        assert_false(hl_multipart_is(NULL));
}

static void boundaries(void **state)
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
        };
        static const char *const bad[] = {
                "multipart/form-data",
                "multipart/form-data; boundary",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=\"\"",
                "multipart/form-data; boundary=c",
                "multipart/form-data; boundary=bb",
                "multipart/form-data; xboundary=b",
                "multipart/form-data; boundary=" /* one more than may be */
                "12345678901234567890123456789012345678901234567890123456789012345678901",
        };
        for (size_t i = 0; i < HL_COUNT(good); i++)
                expect_typed(good[i], body, sizeof(body) - 1, 0, "x");
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                expect_typed(bad[i], body, sizeof(body) - 1, -EINVAL, NULL);
        expect_typed("multipart/form-data; boundary="
                     "1234567890123456789012345678901234567890123456789012345678901234567890",
                     "--1234567890123456789012345678901234567890123456789012345678901234567890--", 74, 0, NULL);
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
        FOUND(PART("Content-Disposition: form-data; filename=\"a.wav\"; name=\"model\"", "x") END, "x");
        FOUND(PART("Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav",
                   "RIFF\0\r\n--\r\n\r\n-b--\r\n--a") FIELD("model", "x") END,
              "x");
        FOUND(FIELD("model", "two\r\nlines\r\n") END, "two\r\nlines\r\n");
        FOUND(FIELD("model", "x") END "an epilogue", "x");
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
        ABSENT(PART("Content-Disposition: form-data; name*=utf-8''model", "x") END);
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
        REFUSED(FIELD("model", "x") "--bb\r\n\r\n\r\n" END);
        REFUSED("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n--b--"); /* headers without an end */
        REFUSED("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--b--");
        REFUSED("--b\nContent-Disposition: form-data; name=\"model\"\n\nx\n--b--\n"); /* LF alone */
        REFUSED("--bContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--b--");
        REFUSED(FIELD("model", "--b") END); /* a boundary that its content has */
        REFUSED(FIELD("model", "x\0y") END);
}

static void twice_is_refused(void **state)
{
        (void)state;
        REFUSED(FIELD("model", "x") FIELD("model", "y") END);
        REFUSED(FIELD("model", "x") FIELD("a", "z") FIELD("model", "x") END);
        REFUSED(FIELD("model", "") FIELD("model", "x") END);
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
                { "--b\r\n", "Content-Disposition\r\n", "\r\n\r\n" END, 0 },
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
                cmocka_unit_test(content_types),
                cmocka_unit_test(boundaries),
                cmocka_unit_test(fields_as_clients_send_them),
                cmocka_unit_test(what_is_not_the_field),
                cmocka_unit_test(what_is_no_form),
                cmocka_unit_test(twice_is_refused),
                cmocka_unit_test(hostile_bodies_are_read_to_their_end),
        };
        return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
