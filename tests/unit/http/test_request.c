/* SPDX-License-Identifier: MIT */
/* http/: request, response. */
#include "support.h"

#include "base/mem.h"
#include "http/request.h"
#include "http/response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- request ---- */

static void request_has_a_random_id(void **state)
{
        (void)state;
        struct hl_request a, b;
        hl_request_init(&a);
        hl_request_init(&b);
        assert_int_equal(strlen(a.id), HL_REQUEST_ID_SIZE - 1);
        assert_int_equal(strspn(a.id, "0123456789abcdef"), HL_REQUEST_ID_SIZE - 1);
        assert_string_not_equal(a.id, b.id);
        hl_request_free(&a);
        hl_request_free(&b);
}

static void a_bad_target_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = { "",          "x",  "?a",   "**",   "/a b",        "/a\x7f",
                                           "/\xC3\xA9", "/%", "/%ff", "/%00", "http://host", "http://host?x",
                                           "https://a/" };
        struct hl_problem problem;
        for (size_t i = 0; i < HL_COUNT(bad); i++) {
                struct hl_request r;
                hl_request_init(&r);
                if (hl_request_target(&r, bad[i], &problem) != -EINVAL)
                        fail_msg("%s", bad[i]);
                assert_int_equal(problem.status, 400);
                assert_string_equal(problem.code, "invalid_target");
                hl_request_free(&r);
        }
        struct hl_request r;
        hl_request_init(&r);
        assert_int_equal(hl_request_target(&r, "/a%2Fb?", &problem), 0);
        assert_string_equal(r.path, "/a%2Fb");
        assert_string_equal(r.query, "");
        hl_request_free(&r);
}

static void request_query_parameters(void **state)
{
        (void)state;
        struct hl_problem problem;
        struct hl_request r;
        char *value = NULL;
        hl_request_init(&r);
        assert_int_equal(
                hl_request_target(&r, "/?waiting=1&wait=a%20b&x=&bad=%zz&wait=second&%63ode%64=1&%zz=2", &problem), 0);
        assert_int_equal(hl_request_query(&r, "wait", &value), 0);
        assert_string_equal(value, "a b");
        free(value);
        assert_int_equal(hl_request_query(&r, "x", &value), 0);
        assert_string_equal(value, "");
        free(value);
        assert_int_equal(hl_request_query(&r, "absent", &value), 0);
        assert_null(value);
        assert_int_equal(hl_request_query(&r, "bad", &value), -EINVAL);
        assert_int_equal(hl_request_query(&r, "coded", &value), 0); /* a client may encode its name, too */
        assert_string_equal(value, "1");
        free(value);
        hl_request_free(&r);
}

static void loopback_and_unix_are_local_and_nothing_else(void **state)
{
        (void)state;
        static const char *const local[] = { "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix:", "unix:/x" };
        static const char *const remote[] = { "",          "128.0.0.1",  "10.0.0.1", "::2",  "::ffff:10.0.0.1",
                                              "localhost", "127.0.0.1 ", "127.1",    "unix", "unknown" };
        for (size_t i = 0; i < HL_COUNT(local); i++)
                assert_true(hl_address_is_local(local[i]));
        for (size_t i = 0; i < HL_COUNT(remote); i++)
                assert_false(hl_address_is_local(remote[i]));
}

/* ---- response ---- */

static void a_head_has_the_status_the_date_and_the_length(void **state)
{
        (void)state;
        struct hl_request request;
        struct hl_response response = { 0 };
        struct hl_buf out = { 0 };
        hl_request_init(&request);
        hl_response_problem(&response, &request, &(struct hl_problem){ 404, "unknown_route", "no" });
        assert_string_equal(response.body.data,
                            "{\"status\":\"error\",\"code\":\"unknown_route\",\"message\":\"no\"}\n");
        hl_response_head(&response, &request, HL_HEAD_HTTP, "close", &out);
        assert_int_equal(strncmp(out.data, "HTTP/1.1 404 Not Found\r\nDate: ", 30), 0);
        assert_true(test_contains(&out, " GMT\r\n"));
        char lines[128];
        snprintf(lines, sizeof(lines), "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                 strlen(response.body.data));
        assert_true(test_contains(&out, lines));
        assert_true(test_contains(&out, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_true(test_contains(&out, request.id));
        assert_true(test_contains(&out, "\r\nConnection: close\r\n\r\n"));
        hl_buf_free(&out);
        hl_response_head(&response, &request, HL_HEAD_CGI, "close", &out);
        assert_int_equal(strncmp(out.data, "Status: 404 Not Found\r\nContent-Type", 35), 0);
        assert_false(test_contains(&out, "Connection"));
        hl_buf_free(&out);
        hl_response_free(&response);

        response.status = 204;
        hl_response_head(&response, &request, HL_HEAD_HTTP, NULL, &out);
        assert_false(test_contains(&out, "\r\nContent-"));
        assert_false(test_contains(&out, "Connection"));
        hl_buf_free(&out);
        hl_request_free(&request);
}

static void response_says_a_reason_for_every_status(void **state)
{
        (void)state;
        static const int statuses[] = { 200, 202, 204, 400, 401, 403, 404, 405, 408, 409,
                                        411, 413, 414, 415, 431, 500, 502, 503, 504 };
        struct hl_request request;
        hl_request_init(&request);
        for (size_t i = 0; i < HL_COUNT(statuses); i++) {
                struct hl_response response = { .status = statuses[i] };
                struct hl_buf out = { 0 };
                hl_response_head(&response, &request, HL_HEAD_HTTP, NULL, &out);
                assert_false(test_contains(&out, "Unknown"));
                hl_buf_free(&out);
        }
        hl_request_free(&request);
}

/* Nothing that a client sent can add a header. */
static void a_header_takes_no_control_characters(void **state)
{
        (void)state;
        static const char *const hostile[] = { "a\r\nX: y", "a\nX: y", "a\rX", "a\x7f", "\x01", "a\tb" };
        struct hl_response response = { 0 };
        for (size_t i = 0; i < HL_COUNT(hostile); i++)
                hl_response_header(&response, "X-Value", hostile[i]);
        assert_int_equal(response.headers.len, 0);
        hl_response_header(&response, "X-Value", "a b");
        assert_string_equal(response.headers.data, "X-Value: a b\r\n");
        hl_response_free(&response);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(request_has_a_random_id),
                cmocka_unit_test(a_bad_target_is_refused),
                cmocka_unit_test(request_query_parameters),
                cmocka_unit_test(loopback_and_unix_are_local_and_nothing_else),
                cmocka_unit_test(a_head_has_the_status_the_date_and_the_length),
                cmocka_unit_test(response_says_a_reason_for_every_status),
                cmocka_unit_test(a_header_takes_no_control_characters),
        };
        return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
