/* SPDX-License-Identifier: MIT */
/* transport/http_client, over plain HTTP: its limits, its deadline, what it never does. TLS is tests/kubernetes'
 * part. */
#include "support.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "transport/http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers one connection after another with `answer`, and keeps what was asked last. NULL: says nothing. */
struct server {
        int fd;
        uint16_t port;
        bool tls; /* for the client: the server answers unasked, in plain text; NULL: breaks off */
        const char *answer;
        struct hl_buf asked;
        pthread_t thread;
};

static void answer_unasked(const struct server *server, int fd)
{
        const struct linger reset = { .l_onoff = 1 };
        char byte;
        if (server->answer) {
                hl_write_all(fd, server->answer, strlen(server->answer), test_deadline());
                must(read(fd, &byte, 1) == 1);
        } else {
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
}

static void *serve(void *data)
{
        struct server *server = data;
        for (int fd; (fd = accept(server->fd, NULL, NULL)) >= 0; close(fd)) {
                char bytes[4096];
                hl_buf_free(&server->asked);
                if (server->tls) {
                        answer_unasked(server, fd);
                        continue;
                }
                do {
                        ssize_t n = read(fd, bytes, sizeof(bytes));
                        if (n <= 0)
                                break;
                        hl_buf_add(&server->asked, bytes, (size_t)n);
                } while (!strstr(server->asked.data, "\r\n\r\n"));
                if (server->answer)
                        hl_write_all(fd, server->answer, strlen(server->answer), test_deadline());
                else
                        must(read(fd, bytes, 1) <= 0); /* until the client has had enough */
        }
        return NULL;
}

static int start(void **state)
{
        struct server *server = hl_alloc(sizeof(*server));
        server->fd = test_listen(&server->port);
        must(pthread_create(&server->thread, NULL, serve, server) == 0);
        *state = server;
        return 0;
}

static int stop(void **state)
{
        struct server *server = *state;
        shutdown(server->fd, SHUT_RDWR);
        pthread_join(server->thread, NULL);
        close(server->fd);
        hl_buf_free(&server->asked);
        free(server);
        return 0;
}

/* One request; *answer's body is the caller's. */
static int ask(struct server *server, const char *token, uint64_t deadline_us, struct hl_http_client_answer *answer,
               struct hl_err *err)
{
        HL_CLEANUP(hl_http_client_cleanup) struct hl_http_client *one = NULL;
        HL_CLEANUP(hl_free_pointer)
        char *url = hl_format("http%s://127.0.0.1:%u/x", server->tls ? "s" : "", server->port);
        struct hl_http_client_request request = {
                .method = "GET", .url = url, .token = token, .deadline_us = deadline_us
        };
        *err = (struct hl_err){ 0 };
        must(hl_http_client_open(&one, err) == 0);
        return hl_http_client_ask(one, &request, answer, err);
}

static void an_answer_is_an_answer_whatever_its_status(void **state)
{
        struct server *server = *state;
        struct hl_http_client_answer answer = { .body.max = 5 };
        struct hl_err err;
        server->answer = "HTTP/1.1 429 Later\r\nRetry-After: 7\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlater";
        assert_int_equal(ask(server, "hls_secret", test_deadline(), &answer, &err), 0);
        assert_int_equal(answer.status, 429);
        assert_int_equal(answer.retry_after_seconds, 7);
        assert_string_equal(answer.address, "127.0.0.1");
        assert_string_equal(answer.body.data, "later");
        assert_true(test_contains(&server->asked, "\r\nAuthorization: Bearer hls_secret\r\n"));
        hl_buf_free(&answer.body);
}

static void no_proxy_is_asked_and_no_redirect_followed(void **state)
{
        struct server *server = *state;
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        must(setenv("http_proxy", "http://127.0.0.1:1", 1) == 0 && setenv("ALL_PROXY", "http://127.0.0.1:1", 1) == 0);
        server->answer =
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_int_equal(ask(server, NULL, test_deadline(), &answer, &err), 0);
        assert_int_equal(answer.status, 302);
        assert_true(test_contains(&server->asked, "GET /x HTTP/1.1\r\n"));
        assert_false(test_contains(&server->asked, "Authorization"));
        unsetenv("http_proxy");
        unsetenv("ALL_PROXY");
        hl_buf_free(&answer.body);
}

static void too_much_is_not_read(void **state)
{
        struct server *server = *state;
        struct hl_http_client_answer answer = { .body.max = 4 };
        struct hl_err err;
        server->answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345";
        assert_int_equal(ask(server, NULL, test_deadline(), &answer, &err), -EMSGSIZE);
        assert_int_equal(err.kind, HL_ERR_UPSTREAM);
        assert_non_null(strstr(err.message, "more than 4 bytes"));
        hl_buf_free(&answer.body);
}

static void half_an_answer_is_none(void **state)
{
        static const char *const halves[] = { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
                                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
                                              "HTTP/1.1 200 OK\r\n", "", "220 smtp ready\r\n" };
        struct server *server = *state;
        for (size_t i = 0; i < HL_COUNT(halves); i++) {
                struct hl_http_client_answer answer = { .body.max = 100 };
                struct hl_err err;
                server->answer = halves[i];
                int r = ask(server, NULL, test_deadline(), &answer, &err);
                hl_buf_free(&answer.body);
                if (i == 2 && r == 0)
                        continue; /* libcurl takes the connection's end for that of the headers */
                assert_int_equal(r, -EPROTO);
                assert_int_equal(err.kind, HL_ERR_UPSTREAM);
        }
}

/* What a person who waits sees of it. */
struct watcher {
        char taken[32];
        size_t len, enough; /* enough 0: never */
        unsigned ticks, ticks_max;
};

static int take(void *data, const char *bytes, size_t len)
{
        struct watcher *w = data;
        must(w->len + len < sizeof(w->taken));
        memcpy(w->taken + w->len, bytes, len);
        w->len += len;
        return w->enough && w->len >= w->enough ? -EPIPE : 0;
}

static int tick(void *data)
{
        struct watcher *w = data;
        return ++w->ticks > w->ticks_max ? -EINTR : 0;
}

static int watch(struct server *server, struct watcher *w, struct hl_http_client_answer *answer, struct hl_err *err)
{
        HL_CLEANUP(hl_http_client_cleanup) struct hl_http_client *one = NULL;
        HL_CLEANUP(hl_free_pointer) char *url = hl_format("http://127.0.0.1:%u/x", server->port);
        const struct hl_http_client_request request = { .method = "POST",
                                                        .url = url,
                                                        .deadline_us = test_deadline(),
                                                        .take = take,
                                                        .tick = w->ticks_max ? tick : NULL,
                                                        .data = w };
        *err = (struct hl_err){ 0 };
        must(hl_http_client_open(&one, err) == 0);
        return hl_http_client_ask(one, &request, answer, err);
}

static void a_body_is_taken_as_it_comes_but_not_an_error(void **state)
{
        struct server *server = *state;
        struct watcher w = { .enough = 0 }, other = { .enough = 0 }, full = { .enough = 4 };
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        server->answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst\nsecond\n";
        assert_int_equal(watch(server, &w, &answer, &err), 0);
        assert_string_equal(w.taken, "first\nsecond\n");
        assert_int_equal(answer.body.len, 0);
        assert_int_equal(watch(server, &full, &answer, &err), -ECANCELED);
        server->answer = "HTTP/1.1 404 No\r\nConnection: close\r\n\r\nno";
        assert_int_equal(watch(server, &other, &answer, &err), 0);
        assert_int_equal(other.len, 0);
        assert_string_equal(answer.body.data, "no");
        hl_buf_free(&answer.body);
}

static void who_waits_may_give_up(void **state)
{
        struct server *server = *state;
        struct watcher w = { .ticks_max = 2 };
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        server->answer = NULL; /* silence */
        assert_int_equal(watch(server, &w, &answer, &err), -ECANCELED);
        assert_int_equal(err.kind, HL_ERR_CANCELLED);
        assert_int_equal(w.ticks, 3);
        hl_buf_free(&answer.body);
}

static void silence_ends_with_the_deadline(void **state)
{
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        uint64_t began = hl_clock_monotonic();
        assert_int_equal(ask(*state, NULL, began + 100 * HL_USEC_PER_MSEC, &answer, &err), -ETIMEDOUT);
        assert_int_equal(err.kind, HL_ERR_TIMEOUT);
        assert_true(hl_clock_monotonic() - began < 2 * HL_USEC_PER_SEC);
        assert_int_equal(ask(*state, NULL, began, &answer, &err), -ETIMEDOUT); /* it is over already */
}

static void nobody_is_there(void **state)
{
        (void)state;
        struct server server = { 0 };
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        int fd = test_listen(&server.port);
        close(fd);
        assert_int_equal(ask(&server, NULL, test_deadline(), &answer, &err), -ECONNREFUSED);
        assert_int_equal(err.kind, HL_ERR_BUSY);
}

static void a_server_that_breaks_off_is_not_there(void **state)
{
        struct server *server = *state;
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        server->tls = true;
        assert_int_equal(ask(server, NULL, test_deadline(), &answer, &err), -ECONNREFUSED);
        assert_int_equal(err.kind, HL_ERR_BUSY);
}

static void a_server_without_tls_is_no_impostor(void **state)
{
        struct server *server = *state;
        struct hl_http_client_answer answer = { .body.max = 100 };
        struct hl_err err;
        server->tls = true;
        server->answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        assert_int_equal(ask(server, NULL, test_deadline(), &answer, &err), -EPROTO);
        assert_int_equal(err.kind, HL_ERR_UPSTREAM);
        assert_non_null(strstr(err.message, "TLS"));
}

static void only_http_and_https(void **state)
{
        (void)state;
        HL_CLEANUP(hl_http_client_cleanup) struct hl_http_client *one = NULL;
        struct hl_err err = { 0 };
        struct hl_http_client_answer answer = { .body.max = 100 };
        must(hl_http_client_open(&one, &err) == 0);
        struct hl_http_client_request request = { .method = "GET",
                                                  .url = "file:///etc/passwd",
                                                  .deadline_us = test_deadline() };
        assert_true(hl_http_client_ask(one, &request, &answer, &err) < 0);
        assert_int_equal(answer.body.len, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(an_answer_is_an_answer_whatever_its_status, start, stop),
                cmocka_unit_test_setup_teardown(no_proxy_is_asked_and_no_redirect_followed, start, stop),
                cmocka_unit_test_setup_teardown(too_much_is_not_read, start, stop),
                cmocka_unit_test_setup_teardown(half_an_answer_is_none, start, stop),
                cmocka_unit_test_setup_teardown(a_body_is_taken_as_it_comes_but_not_an_error, start, stop),
                cmocka_unit_test_setup_teardown(who_waits_may_give_up, start, stop),
                cmocka_unit_test_setup_teardown(silence_ends_with_the_deadline, start, stop),
                cmocka_unit_test(nobody_is_there),
                cmocka_unit_test_setup_teardown(a_server_that_breaks_off_is_not_there, start, stop),
                cmocka_unit_test_setup_teardown(a_server_without_tls_is_no_impostor, start, stop),
                cmocka_unit_test(only_http_and_https),
        };
        return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
