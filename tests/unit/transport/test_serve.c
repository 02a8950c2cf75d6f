/* SPDX-License-Identifier: MIT */
/* transport/: HTTP on one connection, and CGI. The server runs in a thread, the client is the test. */
#include "support.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "transport/cgi.h"
#include "transport/inetd.h"
#include "transport/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define LARGE_BODY (4 * 1024 * 1024) /* more than a socket holds */

static void tell_more(void *data, const struct hl_stream *stream)
{
        unsigned *freed = data;
        must(*freed == 0);
        for (const char *piece = "123"; *piece && stream->write(stream->data, piece, 1) == 0; piece++)
                ;
}

static void count_free(void *data)
{
        ++*(unsigned *)data;
}

static unsigned followers_freed;

/* Answers with what it was asked; "/large" with very much, "/follow" with more that comes later. */
static void answer(const void *service, const struct hl_request *request, struct hl_response *response)
{
        unsigned *count =
                (unsigned *)(uintptr_t)service; /* every transport of these tests gives one that may be written */
        ++*count;
        response->status = 200;
        response->content_type = "text/plain";
        if (strcmp(request->path, "/large") == 0) {
                char *large = hl_alloc(LARGE_BODY);
                memset(large, 'x', LARGE_BODY - 1);
                hl_buf_add(&response->body, large, LARGE_BODY);
                free(large);
                return;
        }
        if (strcmp(request->path, "/401") == 0 || strcmp(request->path, "/403") == 0)
                response->status = request->path[3] == '1' ? 401 : 403;
        if (strcmp(request->path, "/follow") == 0) {
                followers_freed = 0;
                response->stream = tell_more;
                response->stream_free = count_free;
                response->stream_data = &followers_freed;
        }
        hl_buf_addf(&response->body, "[%d %s?%s %.*s %s %s]", (int)request->method, request->path,
                    request->query ? request->query : "", (int)(request->body.len < 100 ? request->body.len : 100),
                    request->body.data ? request->body.data : "", request->peer.name,
                    request->peer.local ? "local" : "remote");
}

/* What must happen has ten seconds; what a test waits for to pass is short in that test. */
static const struct hl_inetd_limits generous = {
        .first_us = TEST_TIMEOUT_US,
        .request_us = TEST_TIMEOUT_US,
        .idle_us = TEST_TIMEOUT_US,
        .write_us = TEST_TIMEOUT_US,
        .linger_us = TEST_TIMEOUT_US,
        .connection_us = TEST_TIMEOUT_US,
};

struct served {
        pthread_t thread;
        int server, client;
        struct hl_inetd_limits limits;
        unsigned requests;
        uint64_t took_us;
        struct hl_buf answer;
};

static void *serve(void *data)
{
        struct served *s = data;
        const struct hl_server server = { .name = "test", .answer = answer, .service = &s->requests };
        uint64_t began_us = hl_clock_monotonic();
        hl_inetd_serve(s->server, &s->limits, -1, &server);
        s->took_us = hl_clock_monotonic() - began_us;
        close(s->server);
        return NULL;
}

static struct served *begin(const struct hl_inetd_limits *limits)
{
        struct served *s = hl_alloc(sizeof(*s));
        int fds[2];
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        s->server = fds[0];
        s->client = fds[1];
        s->limits = *limits;
        must(pthread_create(&s->thread, NULL, serve, s) == 0);
        return s;
}

static void send_text(struct served *s, const char *text)
{
        int r = hl_write_all(s->client, text, strlen(text), test_deadline());
        must(r == 0 || r == -EPIPE || r == -ECONNRESET); /* the server may have had enough */
}

/* Waits until the answers so far hold the text. */
static bool receive(struct served *s, const char *text)
{
        uint64_t deadline_us = test_deadline();
        while (!test_contains(&s->answer, text)) {
                char bytes[4096];
                if (hl_wait_fd(s->client, POLLIN, deadline_us) <= 0)
                        return false;
                ssize_t n = read(s->client, bytes, sizeof(bytes));
                if (n <= 0)
                        return false;
                hl_buf_add(&s->answer, bytes, (size_t)n);
        }
        return true;
}

/* Reads what still comes, then leaves; the server must end. s->answer is kept for the caller. */
static void finish(struct served *s)
{
        must(test_read_all(s->client, &s->answer));
        close(s->client);
        must(pthread_join(s->thread, NULL) == 0);
}

static void release(struct served *s)
{
        hl_buf_free(&s->answer);
        free(s);
}

/* Sends, says that no more comes, and reads everything. */
static struct served *exchange(const char *bytes)
{
        struct served *s = begin(&generous);
        send_text(s, bytes);
        shutdown(s->client, SHUT_WR);
        finish(s);
        return s;
}

static unsigned count_of(const struct hl_buf *buf, const char *text)
{
        unsigned count = 0;
        for (const char *c = buf->data; c && (c = strstr(c, text)); c += strlen(text))
                count++;
        return count;
}

static void expect_answer(const char *bytes, const char *const *parts)
{
        struct served *s = exchange(bytes);
        for (; *parts; parts++)
                if (!test_contains(&s->answer, *parts))
                        fail_msg("%s\n--- lacks \"%s\":\n%s", bytes, *parts, s->answer.data);
        release(s);
}

#define PARTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void a_request_arrives_whole(void **state)
{
        (void)state;
        expect_answer("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
                      PARTS("HTTP/1.1 200 OK\r\n", "\r\nConnection: keep-alive\r\n\r\n[0 /a?b  unix local]"));
        expect_answer("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", PARTS("[2 /a? abc unix local]"));
        expect_answer("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
                      PARTS("[2 /a? abc unix local]"));
}

static void a_connection_serves_many_requests(void **state)
{
        (void)state;
        struct served *s = begin(&generous);
        for (int i = 0; i < 20; i++) {
                char text[64], expected[32];
                snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
                snprintf(expected, sizeof(expected), "[0 /%d?  unix local]", i);
                send_text(s, text);
                assert_true(receive(s, expected));
        }
        shutdown(s->client, SHUT_WR);
        finish(s);
        assert_int_equal(s->requests, 20);
        assert_int_equal(count_of(&s->answer, "HTTP/1.1 200 OK"), 20);
        assert_int_equal(count_of(&s->answer, "Connection: close"), 0);
        release(s);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
        (void)state;
        struct served *s = exchange("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\r\n"
                                    "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
                                    "HEAD /3 HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                    "GET /5 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(s->requests, 4); /* nothing behind "close" */
        const char *one = strstr(s->answer.data, "[0 /1"), *two = strstr(s->answer.data, "[2 /2? ab"),
                   *four = strstr(s->answer.data, "[0 /4");
        assert_non_null(one);
        assert_non_null(two);
        assert_non_null(four);
        assert_true(one < two);
        assert_true(two < four);
        assert_null(strstr(s->answer.data, "[1 /3")); /* HEAD: the length, not the body */
        assert_int_equal(count_of(&s->answer, "HTTP/1.1 200 OK"), 4);
        assert_int_equal(count_of(&s->answer, "Connection: close"), 1);
        release(s);
}

static void head_has_the_length_of_get(void **state)
{
        (void)state;
        struct served *get = exchange("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n"),
                      *head = exchange("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
        const char *a = strstr(get->answer.data, "Content-Length: "),
                   *b = strstr(head->answer.data, "Content-Length: ");
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal(strtol(a + 16, NULL, 10), strtol(b + 16, NULL, 10));
        assert_int_equal(strcmp(strstr(head->answer.data, "\r\n\r\n"), "\r\n\r\n"), 0);
        release(get);
        release(head);
}

static void http_1_0(void **state)
{
        (void)state;
        struct served *s = begin(&generous);
        send_text(s, "GET / HTTP/1.0\r\n\r\n");
        finish(s); /* the server closes first */
        assert_true(test_contains(&s->answer, "Connection: close"));
        release(s);

        s = begin(&generous);
        send_text(s, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_true(receive(s, "[0 /1?  unix local]"));
        assert_true(test_contains(&s->answer, "Connection: keep-alive"));
        send_text(s, "GET /2 HTTP/1.0\r\n\r\n");
        finish(s);
        assert_true(test_contains(&s->answer, "[0 /2?  unix local]"));
        release(s);
}

static void expect_100_continue(void **state)
{
        (void)state;
        struct served *s = begin(&generous);
        send_text(s, "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert_true(receive(s, "HTTP/1.1 100 Continue\r\n\r\n"));
        assert_int_equal(s->requests, 0);
        send_text(s, "ab");
        assert_true(receive(s, "[2 /a? ab unix local]"));
        shutdown(s->client, SHUT_WR);
        finish(s);
        assert_int_equal(count_of(&s->answer, "100 Continue"), 1);
        release(s);

        /* One that is too large is refused without asking for it. */
        s = begin(&generous);
        send_text(s, "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n");
        finish(s);
        assert_true(test_contains(&s->answer, "HTTP/1.1 413 "));
        assert_int_equal(count_of(&s->answer, "100 Continue"), 0);
        release(s);
}

static char *padded(const char *before, char c, size_t count, const char *after)
{
        char *text = hl_alloc(strlen(before) + count + strlen(after) + 1);
        char *end = stpcpy(text, before);
        memset(end, c, count);
        strcpy(end + count, after);
        return text;
}

static void expect_limit(char *bytes, const char *status_line)
{
        expect_answer(bytes, PARTS(status_line, "Connection: "));
        free(bytes);
}

static void limits_at_the_byte(void **state)
{
        (void)state;
        static const char end[] = " HTTP/1.1\r\nHost: x\r\n\r\n", headers[] = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
        expect_limit(padded("GET /", 'x', HL_REQUEST_TARGET_MAX - 1, end), "HTTP/1.1 200 OK\r\n");
        expect_limit(padded("GET /", 'x', HL_REQUEST_TARGET_MAX, end), "HTTP/1.1 414 URI Too Long\r\n");
        expect_limit(padded(headers, 'y', HL_REQUEST_HEADERS_MAX - 6, "\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
        expect_limit(padded(headers, 'y', HL_REQUEST_HEADERS_MAX - 5, "\r\n\r\n"),
                     "HTTP/1.1 431 Request Header Fields Too Large\r\n");
        expect_limit(padded("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n", 'b', 65536, ""),
                     "HTTP/1.1 200 OK\r\n");
        expect_limit(padded("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 'b', 65537, ""),
                     "HTTP/1.1 413 Content Too Large\r\n");
        expect_limit(padded("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n", 'b', 65536,
                            "\r\n0\r\n\r\n"),
                     "HTTP/1.1 200 OK\r\n");
        expect_limit(padded("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n", 'b', 65537,
                            "\r\n0\r\n\r\n"),
                     "HTTP/1.1 413 Content Too Large\r\n");
        expect_answer("POST / HTTP/1.0\r\n\r\n", PARTS("HTTP/1.1 411 Length Required\r\n", "Connection: close"));
}

/* The answer arrives although the client is still sending: the server reads on and throws away. */
static void last_answer_survives_a_sending_client(void **state)
{
        (void)state;
        struct served *s = begin(&generous);
        char *large = padded("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 'b', 900000, "");
        send_text(s, large);
        free(large);
        shutdown(s->client, SHUT_WR);
        finish(s);
        assert_true(test_contains(&s->answer, "HTTP/1.1 413 "));
        assert_true(test_contains(&s->answer, "Connection: close"));
        release(s);
}

static void garbage_is_answered_400_and_closed(void **state)
{
        (void)state;
        static const char *const bytes[] = { "\x16\x03\x01\x02", "hello\r\n\r\n", "GET /\r\n\r\n",
                                             "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n" };
        for (size_t i = 0; i < HL_COUNT(bytes); i++)
                expect_answer(bytes[i], PARTS("HTTP/1.1 400 Bad Request\r\n", "\"status\":\"error\"",
                                              "Content-Type: application/json", "Connection: close"));
}

static void end_in_the_middle_at_every_byte(void **state)
{
        (void)state;
        static const char request[] = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "3\r\nabc\r\n0\r\n\r\n";
        for (size_t len = 0; len < sizeof(request) - 1; len++) {
                char *part = hl_strndup(request, len);
                struct served *s = exchange(part);
                assert_int_equal(s->requests, 0);
                if (len == 0)
                        assert_int_equal(s->answer.len, 0);
                else if (!test_contains(&s->answer, "HTTP/1.1 400 ") ||
                         !test_contains(&s->answer, "\"code\":\"incomplete_request\""))
                        fail_msg("after %zu bytes: %s", len, s->answer.data);
                release(s);
                free(part);
        }
        struct served *s = exchange("\r\n\r\n"); /* empty lines are no request */
        assert_int_equal(s->answer.len, 0);
        release(s);
}

static void half_closed_client_gets_its_answers(void **state)
{
        (void)state;
        struct served *s = exchange("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n"
                                    "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(s->requests, 3);
        assert_true(s->answer.len > LARGE_BODY);
        assert_true(test_contains(&s->answer, "[0 /3?  unix local]"));
        release(s);
}

static void slow_request_is_408(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.request_us = 30 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        send_text(s, "GET / HTTP/1.1\r\nHo");
        finish(s); /* the server, not the client, ends it */
        assert_true(test_contains(&s->answer, "HTTP/1.1 408 Request Timeout\r\n"));
        assert_true(test_contains(&s->answer, "\"code\":\"request_timeout\""));
        assert_true(s->took_us >= limits.request_us);
        assert_int_equal(s->requests, 0);
        release(s);
}

/* Each byte comes in time, the whole does not. */
static void trickling_request_is_408(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.request_us = 60 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        uint64_t deadline_us = test_deadline();
        send_text(s, "GET / HTTP/1.1\r\nHost: ");
        while (hl_clock_monotonic() < deadline_us &&
               hl_wait_fd(s->client, POLLIN, hl_clock_monotonic() + 5 * HL_USEC_PER_MSEC) == 0)
                send_text(s, "x");
        finish(s);
        assert_true(test_contains(&s->answer, "HTTP/1.1 408 "));
        release(s);
}

static void silent_connection_ends_without_a_word(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.first_us = 20 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        finish(s);
        assert_int_equal(s->answer.len, 0);
        release(s);

        /* The same between two requests, by another limit. */
        limits = generous;
        limits.idle_us = 20 * HL_USEC_PER_MSEC;
        s = begin(&limits);
        send_text(s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
        finish(s);
        assert_int_equal(s->requests, 1);
        assert_int_equal(count_of(&s->answer, "HTTP/1.1 "), 1);
        release(s);
}

static void who_is_not_let_in_has_one_try(void **state)
{
        (void)state;
        static const char *const paths[] = { "/401", "/403" };
        for (size_t i = 0; i < HL_COUNT(paths); i++) {
                HL_CLEANUP(hl_free_pointer)
                char *text =
                        hl_format("GET %s HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
                struct served *s = exchange(text);
                assert_int_equal(s->requests, 1);
                assert_true(test_contains(&s->answer, "Connection: close\r\n"));
                release(s);
        }
}

/* A second request that has begun has the time of a request, not that of an idle connection. */
static void second_request_has_its_own_deadline(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.idle_us = 100 * HL_USEC_PER_MSEC;
        limits.request_us = 250 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        send_text(s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n");
        finish(s);
        assert_int_equal(s->requests, 1);
        assert_true(test_contains(&s->answer, "HTTP/1.1 408 "));
        assert_true(s->took_us >= limits.request_us);
        release(s);
}

static void client_that_does_not_read_is_left(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.write_us = 30 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        send_text(s, "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
        must(pthread_join(s->thread, NULL) == 0);
        assert_true(s->took_us >= limits.write_us);
        assert_true(s->took_us < TEST_TIMEOUT_US);
        assert_int_equal(s->requests, 1);
        close(s->client);
        release(s);
}

static void client_that_leaves_is_no_crash(void **state)
{
        (void)state;
        struct served *s = begin(&generous);
        send_text(s, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(receive(s, "HTTP/1.1 200 OK"));
        close(s->client);
        must(pthread_join(s->thread, NULL) == 0);
        release(s);
}

static void connection_has_a_lifetime(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.connection_us = 0;
        struct served *s = begin(&limits);
        send_text(s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
        finish(s);
        assert_int_equal(s->requests, 1);
        assert_true(test_contains(&s->answer, "Connection: close"));
        release(s);
}

static void linger_has_an_end(void **state)
{
        (void)state;
        struct hl_inetd_limits limits = generous;
        limits.linger_us = 30 * HL_USEC_PER_MSEC;
        struct served *s = begin(&limits);
        send_text(s, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        must(pthread_join(s->thread, NULL) == 0); /* the client neither closes nor sends */
        assert_true(s->took_us >= limits.linger_us);
        assert_true(s->took_us < TEST_TIMEOUT_US);
        close(s->client);
        release(s);
}

static void peer_of_a_tcp_connection(void **state)
{
        (void)state;
        uint16_t port;
        int listener = test_listen(&port);
        struct served *s = hl_alloc(sizeof(*s));
        s->limits = generous;
        s->client = test_connect(port);
        s->server = accept(listener, NULL, NULL);
        must(s->server >= 0 && pthread_create(&s->thread, NULL, serve, s) == 0);
        send_text(s, "GET / HTTP/1.0\r\n\r\n");
        finish(s);
        assert_true(test_contains(&s->answer, "127.0.0.1 local]"));
        release(s);
        close(listener);
}

/* ---- CGI ---- */

static const char *const variables[] = { "GATEWAY_INTERFACE", "REQUEST_METHOD",         "PATH_INFO",    "QUERY_STRING",
                                         "REQUEST_URI",       "CONTENT_LENGTH",         "CONTENT_TYPE", "REMOTE_ADDR",
                                         "HTTP_HOST",         "HTTP_TRANSFER_ENCODING", "HTTP_ORIGIN" };

/* settings: name, value, …, NULL. The answer is *ret_out; the exit status is returned. */
static int run_cgi(const char *const *settings, const char *body, struct hl_buf *ret_out)
{
        int in[2], out[2];
        unsigned requests = 0;
        const struct hl_server server = { .name = "test", .answer = answer, .service = &requests };
        must(pipe(in) == 0 && pipe(out) == 0);
        for (size_t i = 0; i < HL_COUNT(variables); i++)
                unsetenv(variables[i]);
        for (; *settings; settings += 2)
                must(setenv(settings[0], settings[1], 1) == 0);
        must(hl_write_all(in[1], body, strlen(body), test_deadline()) == 0);
        close(in[1]);
        int status = hl_cgi_serve(in[0], out[1], &server);
        close(in[0]);
        close(out[1]);
        must(test_read_all(out[0], ret_out));
        close(out[0]);
        return status;
}

static void expect_cgi(const char *const *settings, const char *body, const char *const *parts)
{
        struct hl_buf out = { 0 };
        assert_int_equal(run_cgi(settings, body, &out), EXIT_SUCCESS);
        for (; *parts; parts++)
                if (!test_contains(&out, *parts))
                        fail_msg("lacks \"%s\": %s", *parts, out.data);
        hl_buf_free(&out);
}

/* Nothing says how long it is: it ends with its connection, which takes no further request. */
static void an_answer_that_goes_on(void **state)
{
        (void)state;
        struct served *s = exchange("GET /follow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(test_contains(&s->answer, "Connection: close\r\n\r\n[0 /follow?"));
        assert_true(test_contains(&s->answer, "local]123"));
        assert_false(test_contains(&s->answer, "Content-Length"));
        assert_int_equal(s->requests, 1);
        assert_int_equal(followers_freed, 1);
        release(s);
        s = exchange("HEAD /follow HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_false(test_contains(&s->answer, "123"));
        assert_int_equal(followers_freed, 1);
        release(s);
        struct hl_buf out = { 0 };
        assert_int_equal(run_cgi(PARTS("REQUEST_METHOD", "GET", "PATH_INFO", "/follow"), "", &out), EXIT_SUCCESS);
        assert_true(test_contains(&out, "remote]123"));
        assert_false(test_contains(&out, "Content-Length"));
        assert_int_equal(followers_freed, 1);
        hl_buf_free(&out);
}

static void a_cgi_request_is_read_from_its_variables(void **state)
{
        (void)state;
        expect_cgi(PARTS("REQUEST_METHOD", "GET", "PATH_INFO", "/a b/\xC3\xA9%", "QUERY_STRING", "x=%20", "REMOTE_ADDR",
                         "10.0.0.1"),
                   "", PARTS("Status: 200 OK\r\n", "[0 /a%20b/%C3%A9%25?x=%20  10.0.0.1 remote]"));
        expect_cgi(
                PARTS("REQUEST_METHOD", "POST", "REQUEST_URI", "/a%2Fb?c", "CONTENT_LENGTH", "3", "REMOTE_ADDR", "::1"),
                "abcdef", PARTS("[2 /a%2Fb?c abc ::1 local]"));
        expect_cgi(PARTS("REQUEST_METHOD", "GET"), "", PARTS("[0 /?  unknown remote]"));
        expect_cgi(PARTS("REQUEST_METHOD", "GET", "PATH_INFO", "", "REQUEST_URI", "/x", "REMOTE_ADDR", "unix:"), "",
                   PARTS("[0 /x?  unix: local]"));
        expect_cgi(PARTS("REQUEST_METHOD", "BREW", "CONTENT_LENGTH", ""), "", PARTS("[4 /?"));
        struct hl_buf out = { 0 };
        run_cgi(PARTS("REQUEST_METHOD", "HEAD"), "", &out);
        assert_string_equal(strstr(out.data, "\r\n\r\n"), "\r\n\r\n");
        assert_false(test_contains(&out, "Connection"));
        hl_buf_free(&out);
}

static void a_cgi_body_of_a_wrong_length_is_refused(void **state)
{
        (void)state;
        static const struct {
                const char *length, *status;
        } lengths[] = {
                { "65537", "Status: 413 " }, { "99999999999999999999999", "Status: 413 " },
                { "5x", "Status: 400 " },    { "-1", "Status: 400 " },
                { " 1", "Status: 400 " },    { "3", "Status: 400 " }, /* of which two come */
        };
        for (size_t i = 0; i < HL_COUNT(lengths); i++)
                expect_cgi(PARTS("REQUEST_METHOD", "POST", "CONTENT_LENGTH", lengths[i].length), "ab",
                           PARTS(lengths[i].status, "\"status\":\"error\""));
        expect_cgi(PARTS("REQUEST_METHOD", "POST", "HTTP_TRANSFER_ENCODING", "chunked"), "", PARTS("Status: 411 "));
        expect_cgi(PARTS("REQUEST_METHOD", "GET", "REQUEST_URI", "nonsense"), "", PARTS("Status: 400 "));
        char *path = padded("/", 'x', HL_REQUEST_TARGET_MAX - 1, ""),
             *longer = padded("/", 'x', HL_REQUEST_TARGET_MAX, "");
        expect_cgi(PARTS("REQUEST_METHOD", "GET", "PATH_INFO", path), "", PARTS("Status: 200 "));
        expect_cgi(PARTS("REQUEST_METHOD", "GET", "PATH_INFO", longer), "", PARTS("Status: 414 "));
        free(path);
        free(longer);
        char *body = padded("", 'b', 65536, "");
        struct hl_buf out = { 0 };
        int pipe_size[2]; /* a pipe holds 64 KiB: exactly the largest body */
        must(pipe(pipe_size) == 0 && fcntl(pipe_size[0], F_GETPIPE_SZ) >= 65536);
        close(pipe_size[0]);
        close(pipe_size[1]);
        run_cgi(PARTS("REQUEST_METHOD", "POST", "CONTENT_LENGTH", "65536"), body, &out);
        assert_true(test_contains(&out, "Status: 200 "));
        hl_buf_free(&out);
        free(body);
}

static void cgi_client_that_left(void **state)
{
        (void)state;
        int in[2], out[2];
        unsigned requests = 0;
        const struct hl_server server = { .name = "test", .answer = answer, .service = &requests };
        must(pipe(in) == 0 && pipe(out) == 0 && setenv("REQUEST_METHOD", "GET", 1) == 0);
        close(in[1]);
        close(out[0]);
        unsetenv("CONTENT_LENGTH");
        assert_int_equal(hl_cgi_serve(in[0], out[1], &server), EXIT_FAILURE);
        close(in[0]);
        close(out[1]);
}

/* Behind no transport that is known: a person at a terminal. */
static void door_run_says_how_it_is_started(void **state)
{
        (void)state;
        unsigned requests = 0;
        const struct hl_server server = { .name = "test-service", .answer = answer, .service = &requests };
        unsetenv("GATEWAY_INTERFACE");
        int error[2], saved = dup(STDERR_FILENO);
        must(pipe(error) == 0 && saved >= 0 && dup2(error[1], STDERR_FILENO) >= 0);
        close(error[1]);
        int status = hl_serve(&server); /* standard input is no connection here */
        must(dup2(saved, STDERR_FILENO) >= 0);
        close(saved);
        struct hl_buf text = { 0 };
        must(test_read_all(error[0], &text));
        close(error[0]);
        assert_int_equal(status, EX_USAGE);
        assert_true(test_contains(&text, "test-service.socket"));
        hl_buf_free(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_arrives_whole),
                cmocka_unit_test(a_connection_serves_many_requests),
                cmocka_unit_test(pipelined_requests_are_answered_in_order),
                cmocka_unit_test(head_has_the_length_of_get),
                cmocka_unit_test(http_1_0),
                cmocka_unit_test(expect_100_continue),
                cmocka_unit_test(limits_at_the_byte),
                cmocka_unit_test(last_answer_survives_a_sending_client),
                cmocka_unit_test(garbage_is_answered_400_and_closed),
                cmocka_unit_test(end_in_the_middle_at_every_byte),
                cmocka_unit_test(half_closed_client_gets_its_answers),
                cmocka_unit_test(slow_request_is_408),
                cmocka_unit_test(trickling_request_is_408),
                cmocka_unit_test(silent_connection_ends_without_a_word),
                cmocka_unit_test(who_is_not_let_in_has_one_try),
                cmocka_unit_test(second_request_has_its_own_deadline),
                cmocka_unit_test(client_that_does_not_read_is_left),
                cmocka_unit_test(client_that_leaves_is_no_crash),
                cmocka_unit_test(connection_has_a_lifetime),
                cmocka_unit_test(linger_has_an_end),
                cmocka_unit_test(peer_of_a_tcp_connection),
                cmocka_unit_test(an_answer_that_goes_on),
                cmocka_unit_test(a_cgi_request_is_read_from_its_variables),
                cmocka_unit_test(a_cgi_body_of_a_wrong_length_is_refused),
                cmocka_unit_test(cgi_client_that_left),
                cmocka_unit_test(door_run_says_how_it_is_started),
        };
        signal(SIGPIPE, SIG_IGN); /* as hl_serve() does */
        return cmocka_run_group_tests_name("doors", tests, NULL, NULL);
}
