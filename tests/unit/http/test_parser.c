/* SPDX-License-Identifier: MIT */
/* http/parser on recorded bytes: whole, in pieces, and wrong. */
#include "support.h"

#include "base/mem.h"
#include "http/parser.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        expect_parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
                     "0 /?- host=- origin=- site=- type=- auth=- body=- close rest=");
        expect_parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                     "0 /?- host=- origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("GET http://b:5001/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
                     "0 /x?y host=b:5001 origin=- site=- type=- auth=- body=- keep rest=");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                     "0 /?- host=a origin=- site=- type=- auth=- body=- keep rest=");
}

/* "h2c" is asked for by every JDK HttpClient, and needs no answer: RFC 9113 3.1 has taken it back. */
static void parser_passes_over_an_upgrade(void **state)
{
        (void)state;
#define H2C                                                                                                            \
        "Connection: Upgrade, HTTP2-Settings\r\nHost: a\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\nUpgrade: "      \
        "h2c\r\n"
        expect_parse("GET /a HTTP/1.1\r\n" H2C "\r\nGET /b",
                     "0 /a?- host=a origin=- site=- type=- auth=- body=- keep rest=GET /b");
        expect_parse("POST /a HTTP/1.1\r\n" H2C "Content-Length: 2\r\n\r\n{}GET /b",
                     "2 /a?- host=a origin=- site=- type=- auth=- body={} keep rest=GET /b");
        expect_parse("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" H2C "\r\n2\r\n{}\r\n0\r\n\r\nGET /b",
                     "2 /a?- host=a origin=- site=- type=- auth=- body={} keep rest=GET /b");
        expect_parse("POST /a HTTP/1.1\r\n" H2C "Content-Length: 0\r\n\r\nGET /b",
                     "2 /a?- host=a origin=- site=- type=- auth=- body=- keep rest=GET /b");
        expect_parse("DELETE /a HTTP/1.1\r\n" H2C "\r\n", "4 /a?- host=a");
        expect_parse("OPTIONS /a HTTP/1.1\r\n" H2C "\r\n", "3 /a?- host=a");
        expect_parse("HEAD /a HTTP/1.1\r\n" H2C "\r\n", "1 /a?- host=a");
        expect_parse("GET /a HTTP/1.1\r\n" H2C "Connection: close\r\n\r\n",
                     "0 /a?- host=a origin=- site=- type=- auth=- body=- close rest=");
#undef H2C
        expect_parse("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 invalid_target");
        expect_parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad 400");
}

static void parser_takes_what_clients_write(void **state)
{
        (void)state;
        expect_parse("POST / HTTP/1.1\r\nHOST: a\r\nCONTENT-TYPE: x\r\nTRANSFER-ENCODING: Chunked\r\nTE: trailers\r\n"
                     "Connection: close, TE\r\nTrailer: X-Api-Key\r\n\r\n"
                     "0000002;a=\"b;c\";d\r\n{}\r\n0;last\r\nX-Api-Key: hls_0\r\nOrigin: http://b\r\n\r\n",
                     "2 /?- host=a origin=- site=- type=x auth=- body={} close rest=");
        expect_parse("get / HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400");
        expect_parse("GET / HTTP/1.1\r\nhost: a\r\nx-name: caf\xE9 \xC3\xA9\r\ncontent-type: \xFFx\r\n\r\n",
                     "0 /?- host=a origin=- site=- type=\xFFx auth=- body=- keep rest=");
        expect_parse("GET HTTP://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "0 /x?- host=b");
        expect_parse("GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n", "0 /?- host=b:1");
        expect_parse("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\nGET",
                     "0 /?- host=a origin=- site=- type=- auth=- body=- keep rest=GET");
        expect_parse("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
                     "2 /?- host=- origin=- site=- type=- auth=- body={} close rest=");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: hls_1\r\nx-api-key: hls_2\r\n\r\n",
                     "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\napi-key: 1\r\nApi-Key: 1\r\n\r\n", "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n",
                     "bad 400 duplicate_header");
}

/* Whether the shape of its answer can be told from what was read of a bad request. */
static void parser_tells_the_path_of_a_bad_request(void **state)
{
        (void)state;
        static const struct {
                const char *bytes;
                bool openai;
        } cases[] = {
                { "GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", true },
                { "GET /v1/models?a HTTP/1.1\r\nX y: b\r\n\r\n", true },
                { "GET //v1 HTTP/1.1\r\n\r\n", true },
                { "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", true },
                { "GET /models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", false },
                { "GARBAGE\r\n", false },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_request request;
                struct hl_problem problem = { 0 };
                size_t used;
                hl_request_init(&request);
                struct hl_parser *parser = hl_parser_new(&request);
                assert_int_equal(hl_parser_feed(parser, cases[i].bytes, strlen(cases[i].bytes), &used, &problem),
                                 HL_PARSE_BAD);
                if (hl_request_is_openai(&request) != cases[i].openai)
                        fail_msg("%s", cases[i].bytes);
                hl_parser_free(parser);
                hl_request_free(&request);
        }
}

static void parser_asks_for_more(void **state)
{
        (void)state;
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\n", "more");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcd", "more");
        expect_parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "more");
}

static void what_is_not_one_clear_request_is_refused(void **state)
{
        (void)state;
        expect_parse("\x16\x03\x01 hello", "bad 400 bad_request");
        expect_parse("GARBAGE\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "bad 400");
        expect_parse("GET / HTTP/1.1\r\n\r\n", "bad 400 host_required");
        expect_parse("GET http://a/ HTTP/1.1\r\n\r\n", "bad 400 host_required");
        /* lines that go on with the one before: others read them in another way */
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\n c\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\t0\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nOrigin: a\r\norigin: b\r\n\r\n", "bad 400 duplicate_header");
        expect_parse("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
                     "bad 400 duplicate_header");
        expect_parse("GET x HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 bad_request");
        expect_parse("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 invalid_target");
        expect_parse("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad 400 invalid_target");
        expect_parse("POST / HTTP/1.0\r\n\r\n", "bad 411 length_required");
        expect_parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     "bad 400 unsupported_transfer_encoding");
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parser_takes_requests),
                cmocka_unit_test(parser_passes_over_an_upgrade),
                cmocka_unit_test(parser_takes_what_clients_write),
                cmocka_unit_test(parser_tells_the_path_of_a_bad_request),
                cmocka_unit_test(parser_asks_for_more),
                cmocka_unit_test(what_is_not_one_clear_request_is_refused),
                cmocka_unit_test(parser_tells_expect_once),
                cmocka_unit_test(parser_knows_when_it_started),
                cmocka_unit_test(parser_limits_at_the_byte),
        };
        return cmocka_run_group_tests_name("parser", tests, NULL, NULL);
}
