/* http/: parser on recorded bytes, request, response. */
#include "support.h"

#include "base/mem.h"
#include "http/parser.h"
#include "http/request.h"
#include "http/response.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- parser ---- */

/* What a parser made of some bytes, as text: to be compared. */
static void describe(struct hl_buf *out, enum hl_parse parse, const struct hl_request *r, const struct hl_parser *p,
                     const struct hl_problem *problem, const char *rest)
{
        if (parse == HL_PARSE_BAD) {
                hl_buf_addf(out, "bad %d %s", problem->status, problem->code);
                return;
        }
        if (parse != HL_PARSE_COMPLETE) {
                hl_buf_addf(out, "more");
                return;
        }
#define OR_NONE(text) ((text) ? (text) : "-")
        hl_buf_addf(out, "%d %s?%s host=%s origin=%s site=%s type=%s auth=%s body=%s %s rest=%s", (int)r->method,
                    r->path, OR_NONE(r->query), OR_NONE(r->host), OR_NONE(r->origin), OR_NONE(r->sec_fetch_site),
                    OR_NONE(r->content_type), OR_NONE(r->authorization), OR_NONE(r->body.data),
                    hl_parser_keeps_alive(p) ? "keep" : "close", rest);
#undef OR_NONE
}

/* Feeds the bytes up to `first`, then the rest in pieces of `step`. */
static char *parse_in_pieces(const char *bytes, size_t len, size_t first, size_t step)
{
        struct hl_request request;
        struct hl_problem problem = { 0 };
        struct hl_buf out = { 0 };
        hl_request_init(&request);
        struct hl_parser *parser = hl_parser_new(&request);
        enum hl_parse parse = HL_PARSE_MORE;
        size_t at = 0, used = 0;
        while (at < len && (parse == HL_PARSE_MORE || parse == HL_PARSE_EXPECT)) {
                size_t n = at == 0 && first ? first : step;
                n = n < len - at ? n : len - at;
                char *piece = malloc(n); /* exact, so that reading over its end is seen */
                must(piece != NULL);
                memcpy(piece, bytes + at, n);
                used = n;
                parse = hl_parser_feed(parser, piece, n, &used, &problem);
                free(piece);
                at += used;
        }
        describe(&out, parse, &request, parser, &problem, bytes + at);
        hl_parser_free(parser);
        hl_request_free(&request);
        return out.data;
}

/* Whole, byte by byte, and at every split into two: always the same. expected is how it begins. */
static void expect_parse(const char *bytes, const char *expected)
{
        size_t len = strlen(bytes);
        for (size_t first = 0; first < len; first++) {
                char *whole = parse_in_pieces(bytes, len, first, len);
                if (strncmp(whole, expected, strlen(expected)) != 0)
                        fail_msg("split at %zu: %s\n  is:       %s\n  expected: %s", first, bytes, whole, expected);
                free(whole);
        }
        char *single = parse_in_pieces(bytes, len, 0, 1);
        if (strncmp(single, expected, strlen(expected)) != 0)
                fail_msg("byte by byte: %s\n  is:       %s\n  expected: %s", bytes, single, expected);
        free(single);
}

static void parser_takes_requests(void **state)
{
        (void)state;
        expect_parse("GET /models?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     "0 /models?wait=1 host=localhost origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("\r\n\r\nGET / HTTP/1.1\r\nhOsT:a\r\nConnection: close\r\n\r\n",
                     "0 /?- host=a origin=- site=- type=- auth=- body=- close rest=");
        expect_parse("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                     "1 /?- host=a origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GET",
                     "2 /a?- host=a origin=- site=- type=application/json auth=- body={} keep rest=GET");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nSec-Fetch-Site:\tsame-origin \t\r\n"
                     "Authorization: Bearer x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nHost: trailer\r\n\r\n",
                     "2 /?- host=a origin=http://b site=same-origin type=- auth=Bearer x body=abcde keep rest=");
        expect_parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                     "3 *?- host=a origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
                     "4 /?- host=a origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("GET / HTTP/1.0\r\n\r\n", "0 /?- host=- origin=- site=- type=- auth=- body=- close rest=");
        expect_parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                     "0 /?- host=- origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("GET http://b:5001/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
                     "0 /x?y host=b:5001 origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                     "0 /?- host=a origin=- site=- type=- auth=- body=- keep rest=");
}

static void parser_asks_for_more(void **state)
{
        (void)state;
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\n", "more");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcd", "more");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "more");
}

static void parser_refuses(void **state)
{
        (void)state;
        expect_parse("\x16\x03\x01 hello", "bad 400 bad_request");
        expect_parse("GARBAGE\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "bad 400");
        expect_parse("GET / HTTP/1.1\r\n\r\n", "bad 400 host_required");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nOrigin: a\r\norigin: b\r\n\r\n", "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
                     "bad 400 duplicate_header");
        expect_parse("GET x HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 invalid_target");
        expect_parse("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 invalid_target");
        expect_parse("POST / HTTP/1.0\r\n\r\n", "bad 411 length_required");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                     "bad 400 unsupported_transfer_encoding");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                     "bad 400");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "bad 413 body_too_large");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
                     "bad 400 bad_request");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2x\r\n\r\nab", "bad 400 bad_request");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "bad 400 bad_request");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     "bad 400 bad_request");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nX y: 1\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "bad 400 bad_request");
}

static void parser_tells_expect_once(void **state)
{
        (void)state;
        static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n";
        static const char hasty[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nab";
        static const char empty[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
        struct hl_problem problem;
        struct hl_request request;
        size_t used = 0;
        hl_request_init(&request);
        struct hl_parser *parser = hl_parser_new(&request);
        assert_int_equal(hl_parser_feed(parser, head, strlen(head), &used, &problem), HL_PARSE_EXPECT);
        assert_int_equal(hl_parser_feed(parser, "ab", 2, &used, &problem), HL_PARSE_MORE);
        assert_int_equal(hl_parser_feed(parser, "cd", 2, &used, &problem), HL_PARSE_COMPLETE);
        assert_int_equal(used, 2);
        hl_parser_free(parser);
        hl_request_free(&request);

        hl_request_init(&request);
        parser = hl_parser_new(&request);
        assert_int_equal(hl_parser_feed(parser, hasty, strlen(hasty), &used, &problem), HL_PARSE_MORE);
        hl_parser_free(parser);
        hl_request_free(&request);

        hl_request_init(&request);
        parser = hl_parser_new(&request);
        assert_int_equal(hl_parser_feed(parser, empty, strlen(empty), &used, &problem), HL_PARSE_COMPLETE);
        hl_parser_free(parser);
        hl_request_free(&request);
        assert_null(hl_parser_free(NULL));
}

static void parser_knows_when_it_started(void **state)
{
        (void)state;
        struct hl_request request;
        struct hl_problem problem;
        size_t used;
        hl_request_init(&request);
        struct hl_parser *parser = hl_parser_new(&request);
        assert_false(hl_parser_started(parser));
        hl_parser_feed(parser, "\r\n", 2, &used, &problem);
        assert_false(hl_parser_started(parser));
        hl_parser_feed(parser, "G", 1, &used, &problem);
        assert_true(hl_parser_started(parser));
        hl_parser_free(parser);
        hl_request_free(&request);
}

/* `count` times `piece` between `before` and `after`. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, before);
        for (size_t i = 0; i < count; i++)
                hl_buf_adds(&text, piece);
        hl_buf_adds(&text, after);
        return text.data;
}

static void expect_status(char *bytes, int status)
{
        static const size_t steps[] = { SIZE_MAX, 1000, 7 };
        char expected[16];
        snprintf(expected, sizeof(expected), "bad %d ", status);
        for (size_t i = 0; i < HL_COUNT(steps); i++) {
                char *is = parse_in_pieces(bytes, strlen(bytes), 0, steps[i]);
                bool bad = strncmp(is, "bad ", 4) == 0;
                if (status ? strncmp(is, expected, strlen(expected)) != 0 : bad)
                        fail_msg("expected %d, not %.60s (steps of %zu)", status, is, steps[i]);
                free(is);
        }
        free(bytes);
}

static void parser_limits_at_the_byte(void **state)
{
        (void)state;
        static const char end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
        expect_status(repeated("GET /", "x", HL_REQUEST_TARGET_MAX - 1, end), 0);
        expect_status(repeated("GET /", "x", HL_REQUEST_TARGET_MAX, end), 414);

        /* "Host" + "a" + "X" are 6 bytes of names and values. */
        static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        expect_status(repeated(head, "y", HL_REQUEST_HEADERS_MAX - 6, "\r\n\r\n"), 0);
        expect_status(repeated(head, "y", HL_REQUEST_HEADERS_MAX - 5, "\r\n\r\n"), 431);

        static const char first[] = "GET / HTTP/1.1\r\nHost: a\r\n";
        expect_status(repeated(first, "X: y\r\n", HL_REQUEST_HEADER_COUNT_MAX - 1, "\r\n"), 0);
        expect_status(repeated(first, "X: y\r\n", HL_REQUEST_HEADER_COUNT_MAX, "\r\n"), 431);
        /* Names without values count as well. */
        expect_status(repeated(first, "X:\r\n", HL_REQUEST_HEADER_COUNT_MAX, "\r\n"), 431);

        expect_status(repeated("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n", "b", 65536, ""), 0);
        expect_status(repeated("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", "b", 0, ""), 413);
        static const char chunked[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        expect_status(repeated(chunked, "2\r\nbb\r\n", 32768, "0\r\n\r\n"), 0);
        expect_status(repeated(chunked, "2\r\nbb\r\n", 32768, "1\r\nb\r\n0\r\n\r\n"), 413);
        /* Trailers are limited like headers. */
        expect_status(repeated("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n",
                               HL_REQUEST_HEADER_COUNT_MAX, "\r\n"),
                      431);
}

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

static void request_targets(void **state)
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
        assert_int_equal(hl_request_target(&r, "/?waiting=1&wait=a%20b&x=&bad=%zz&wait=second", &problem), 0);
        assert_int_equal(hl_request_query(&r, "wait", &value), 0);
        assert_string_equal(value, "a b");
        free(value);
        assert_int_equal(hl_request_query(&r, "x", &value), 0);
        assert_string_equal(value, "");
        free(value);
        assert_int_equal(hl_request_query(&r, "absent", &value), 0);
        assert_null(value);
        assert_int_equal(hl_request_query(&r, "bad", &value), -EINVAL);
        hl_request_free(&r);
}

static void local_addresses(void **state)
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

static void response_heads(void **state)
{
        (void)state;
        struct hl_request request;
        struct hl_response response = { 0 };
        struct hl_buf out = { 0 };
        hl_request_init(&request);
        hl_response_json(&response, 404, hl_error_json("unknown_route", "no"));
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
static void header_injection(void **state)
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
                cmocka_unit_test(parser_takes_requests),
                cmocka_unit_test(parser_asks_for_more),
                cmocka_unit_test(parser_refuses),
                cmocka_unit_test(parser_tells_expect_once),
                cmocka_unit_test(parser_knows_when_it_started),
                cmocka_unit_test(parser_limits_at_the_byte),
                cmocka_unit_test(request_has_a_random_id),
                cmocka_unit_test(request_targets),
                cmocka_unit_test(request_query_parameters),
                cmocka_unit_test(local_addresses),
                cmocka_unit_test(response_heads),
                cmocka_unit_test(response_says_a_reason_for_every_status),
                cmocka_unit_test(header_injection),
        };
        return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
