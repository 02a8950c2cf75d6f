/* SPDX-License-Identifier: MIT */
/* http/cors: what a named page's browser is told, as the Fetch standard wants it. */
#include "support.h"

#include "base/mem.h"
#include "http/cors.h"

#include <stdlib.h>
#include <string.h>

static struct hl_request request_of(enum hl_method method, const char *origin, const char *asks)
{
        struct hl_request r;
        hl_request_init(&r);
        r.method = method;
        r.origin = hl_strdup(origin);
        r.ac_request_method = hl_strdup(asks);
        return r;
}

static void a_named_page_may_read_the_answer(void **state)
{
        (void)state;
        struct hl_request r = request_of(HL_GET, "app://obsidian.md", NULL);
        struct hl_response response = { 0 };
        hl_cors_add(&r, &response);
        assert_string_equal(response.headers.data, "Access-Control-Allow-Origin: app://obsidian.md\r\n"
                                                   "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n"
                                                   "Vary: Origin\r\n");
        hl_response_free(&response);
        hl_request_free(&r);
}

static void a_preflight_is_known_by_what_it_asks(void **state)
{
        (void)state;
        static const struct {
                enum hl_method method;
                const char *origin, *asks;
                bool preflight;
        } cases[] = {
                { HL_OPTIONS, "http://a", "POST", true },      { HL_OPTIONS, "http://a", NULL, false },
                { HL_OPTIONS, NULL, "POST", false },           { HL_POST, "http://a", "POST", false },
                { HL_METHOD_OTHER, "http://a", "PUT", false },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_request r = request_of(cases[i].method, cases[i].origin, cases[i].asks);
                assert_true(hl_cors_is_preflight(&r) == cases[i].preflight);
                hl_request_free(&r);
        }
}

#define FIRST "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
#define LAST "Access-Control-Max-Age: 600\r\n"

static void a_preflight_is_answered_with_what_it_asked(void **state)
{
        (void)state;
        static const struct {
                const char *headers, *private_network, *answer;
        } cases[] = {
                { NULL, NULL, FIRST LAST },
                { "", NULL, FIRST LAST },
                { "authorization,content-type", NULL,
                  FIRST "Access-Control-Allow-Headers: authorization,content-type\r\n" LAST },
                { "Authorization, X-Stainless-OS", NULL,
                  FIRST "Access-Control-Allow-Headers: Authorization, X-Stainless-OS\r\n" LAST },
                { "*", NULL, FIRST "Access-Control-Allow-Headers: *\r\n" LAST },
                { NULL, "true", FIRST "Access-Control-Allow-Private-Network: true\r\n" LAST },
                { NULL, "false", FIRST LAST },
                { "a\r\nX-Evil: 1", NULL, FIRST LAST },
                { "a: b", NULL, FIRST LAST },
                { "a;b", NULL, FIRST LAST },
                { "\"a\"", NULL, FIRST LAST },
                { "caf\xC3\xA9", NULL, FIRST LAST },
                { "a\tb", NULL, FIRST LAST },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_request r = request_of(HL_OPTIONS, "http://a", "POST");
                struct hl_response response = { 0 };
                r.ac_request_headers = hl_strdup(cases[i].headers);
                r.ac_request_private_network = hl_strdup(cases[i].private_network);
                hl_cors_preflight(&r, &response);
                assert_int_equal(response.status, 204);
                assert_string_equal(response.headers.data, cases[i].answer);
                hl_response_free(&response);
                hl_request_free(&r);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_named_page_may_read_the_answer),
                cmocka_unit_test(a_preflight_is_known_by_what_it_asks),
                cmocka_unit_test(a_preflight_is_answered_with_what_it_asked),
        };
        return cmocka_run_group_tests_name("cors", tests, NULL, NULL);
}
