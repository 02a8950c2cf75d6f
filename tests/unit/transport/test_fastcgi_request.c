/* SPDX-License-Identifier: MIT */
/* transport/fastcgi_request: what a web server can send and leave unsent, and that each connection is closed, once. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "transport/fastcgi_request.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENT_US TEST_TIMEOUT_US
#define HASTY_US (50 * HL_USEC_PER_MSEC)

/* FastCGI 1.0, section 8. */
enum { BEGIN = 1, ABORT = 2, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };

static int watched = -1;
static unsigned closed, closed_wrongly; /* the watched descriptor; one that was not open */

/* In the place of the C library's, for libfcgi too. */
int close(int fd)
{
        int r = (int)syscall(SYS_close, fd);
        closed += fd == watched && r == 0;
        closed_wrongly += r < 0 && errno == EBADF;
        return r;
}

struct talk {
        int client; /* -1: it has left */
        int server;
};

static struct talk begin_talk(void)
{
        int fds[2];
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        watched = fds[1];
        closed = closed_wrongly = 0;
        return (struct talk){ .client = fds[0], .server = fds[1] };
}

static void end_talk(struct talk *talk)
{
        assert_int_equal(closed, 1);
        watched = -1;
        hl_close_fd(&talk->client);
        assert_int_equal(closed_wrongly, 0);
}

static void leave(struct talk *talk)
{
        close(talk->client);
        talk->client = -1;
}

static void send_bytes(const struct talk *talk, const void *bytes, size_t len)
{
        must(write(talk->client, bytes, len) == (ssize_t)len);
}

/* A record whose header announces so many bytes, with these. */
static void send_record(const struct talk *talk, unsigned char type, size_t announced, const char *bytes, size_t len)
{
        const unsigned char header[8] = {
                1, type, 0, 1, (unsigned char)(announced >> 8), (unsigned char)announced, 0, 0
        };
        send_bytes(talk, header, sizeof(header));
        if (len > 0)
                send_bytes(talk, bytes, len);
}

static void send_begin(const struct talk *talk)
{
        send_record(talk, BEGIN, 8, "\0\1\0\0\0\0\0\0", 8);
}

#define PARAMETERS "\13\4REMOTE_ADDRhere\1\0E"

static void send_parameters(const struct talk *talk)
{
        send_begin(talk);
        send_record(talk, PARAMS, sizeof(PARAMETERS) - 1, PARAMETERS, sizeof(PARAMETERS) - 1);
        send_record(talk, PARAMS, 0, "", 0);
}

static void send_body(const struct talk *talk, const char *body)
{
        if (*body)
                send_record(talk, STDIN, strlen(body), body, strlen(body));
        send_record(talk, STDIN, 0, "", 0);
}

static void expect_nothing(struct talk *talk, uint64_t receive_us)
{
        assert_null(hl_fastcgi_read(talk->server, receive_us));
        end_talk(talk);
}

/* Adds the content of the records of one type; returns how many there were of another one. */
static unsigned records(const struct hl_buf *bytes, int type, struct hl_buf *content, int other)
{
        unsigned others = 0;
        for (size_t at = 0; at + 8 <= bytes->len;) {
                const unsigned char *header = (const unsigned char *)bytes->data + at;
                size_t len = (size_t)(header[4] << 8 | header[5]);
                if (header[1] == type)
                        hl_buf_add(content, header + 8, len);
                others += header[1] == other;
                at += 8 + len + header[6];
        }
        return others;
}

static void a_whole_request(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        struct hl_buf got = { 0 }, content = { 0 };
        char body[64] = "";
        send_parameters(&talk);
        send_body(&talk, "hello");
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, PATIENT_US);
        assert_non_null(request);
        assert_int_equal(hl_fastcgi_fd(request), talk.server);
        assert_string_equal(hl_fastcgi_get(request, "REMOTE_ADDR"), "here");
        assert_string_equal(hl_fastcgi_get(request, "E"), "");
        assert_null(hl_fastcgi_get(request, "REMOTE"));
        assert_int_equal(hl_fastcgi_body(request, body, sizeof(body)), 5);
        assert_memory_equal(body, "hello", 5);
        assert_int_equal(hl_fastcgi_body(request, body, sizeof(body)), 0);
        hl_fastcgi_finish(request, "Status: 200 OK\r\n\r\nx", 19);
        assert_true(test_read_all(talk.client, &got));
        assert_int_equal(records(&got, STDOUT, &content, END), 1);
        assert_int_equal(content.len, 19);
        assert_true(test_contains(&content, "Status: 200 OK\r\n\r\nx"));
        hl_buf_free(&got);
        hl_buf_free(&content);
        end_talk(&talk);
}

static void no_answer_is_an_end(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        struct hl_buf got = { 0 };
        send_parameters(&talk);
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, PATIENT_US);
        assert_non_null(request);
        hl_fastcgi_finish(request, NULL, 0);
        assert_true(test_read_all(talk.client, &got));
        assert_int_equal(got.len, 0);
        hl_buf_free(&got);
        end_talk(&talk);
}

#define LONG_ANSWER 200000 /* bytes: more than three records hold */

static void *finish_long(void *request)
{
        char *text = hl_alloc(LONG_ANSWER);
        for (size_t i = 0; i < LONG_ANSWER; i++)
                text[i] = (char)(i % 251);
        hl_fastcgi_finish(request, text, LONG_ANSWER);
        free(text);
        return NULL;
}

static void a_long_answer_is_whole(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        struct hl_buf got = { 0 }, content = { 0 };
        pthread_t thread;
        send_parameters(&talk);
        send_body(&talk, "");
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, PATIENT_US);
        assert_non_null(request);
        must(pthread_create(&thread, NULL, finish_long, request) == 0);
        assert_true(test_read_all(talk.client, &got));
        must(pthread_join(thread, NULL) == 0);
        assert_int_equal(records(&got, STDOUT, &content, END), 1);
        assert_int_equal(content.len, LONG_ANSWER);
        for (size_t i = 0; i < content.len; i++)
                assert_int_equal((unsigned char)content.data[i], i % 251);
        hl_buf_free(&got);
        hl_buf_free(&content);
        end_talk(&talk);
}

static void who_leaves_before_the_answer(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        char *text = hl_alloc(1024 * 1024);
        memset(text, 'x', 1024 * 1024);
        send_parameters(&talk);
        send_body(&talk, "");
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, PATIENT_US);
        assert_non_null(request);
        leave(&talk);
        hl_fastcgi_finish(request, text, 1024 * 1024); /* and the program goes on */
        free(text);
        end_talk(&talk);
}

/* Not even where what came of the parameters is well-formed: what is missing may be what forbids the rest. */
static void who_comes_and_leaves(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);

        talk = begin_talk();
        send_begin(&talk);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);

        talk = begin_talk();
        send_begin(&talk);
        send_record(&talk, PARAMS, sizeof(PARAMETERS) - 1, PARAMETERS, sizeof(PARAMETERS) - 1);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);
}

static void half_a_record(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        send_bytes(&talk, "\1\1\0", 3);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);

        talk = begin_talk();
        send_begin(&talk);
        send_record(&talk, PARAMS, 100, PARAMETERS, sizeof(PARAMETERS) - 1);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);

        talk = begin_talk(); /* a whole record whose pair says that it is longer */
        send_begin(&talk);
        send_record(&talk, PARAMS, 6, "\3\144abcd", 6);
        send_record(&talk, PARAMS, 0, "", 0);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);
}

static void who_goes_silent_is_not_waited_for(void **state)
{
        (void)state;
        for (int sent = 0; sent <= 1; sent++) {
                struct talk talk = begin_talk();
                uint64_t began_us = hl_clock_monotonic();
                if (sent > 0)
                        send_begin(&talk);
                expect_nothing(&talk, HASTY_US);
                assert_true(hl_clock_monotonic() - began_us >= HASTY_US);
        }
}

static void a_body_that_does_not_come(void **state)
{
        (void)state;
        for (int leaves = 0; leaves <= 1; leaves++) {
                struct talk talk = begin_talk();
                char body[64];
                send_parameters(&talk);
                send_record(&talk, STDIN, 10, "hello", 5);
                if (leaves)
                        leave(&talk);
                struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, HASTY_US);
                assert_non_null(request);
                size_t len = 0, n;
                while ((n = hl_fastcgi_body(request, body, sizeof(body))) > 0)
                        len += n;
                assert_true(len <= 5);
                hl_fastcgi_finish(request, "Status: 400 Bad Request\r\n\r\n", 27);
                end_talk(&talk);
        }
}

static void an_aborted_request_is_not_answered(void **state)
{
        (void)state;
        struct talk talk = begin_talk();
        send_begin(&talk);
        send_record(&talk, ABORT, 0, "", 0);
        leave(&talk);
        expect_nothing(&talk, PATIENT_US);

        talk = begin_talk(); /* instead of a body: there is nobody to answer */
        char body[64];
        send_parameters(&talk);
        send_record(&talk, ABORT, 0, "", 0);
        leave(&talk);
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, PATIENT_US);
        assert_non_null(request);
        assert_int_equal(hl_fastcgi_body(request, body, sizeof(body)), 0);
        hl_fastcgi_finish(request, "x", 1);
        end_talk(&talk);
}

static void who_does_not_read_is_not_waited_for(void **state)
{
        (void)state;
        static const char piece[60000]; /* a socket holds a few of these */
        struct talk talk = begin_talk();
        send_parameters(&talk);
        send_body(&talk, "");
        struct hl_fastcgi_request *request = hl_fastcgi_read(talk.server, HASTY_US);
        must(request != NULL);
        int r = 0;
        for (unsigned i = 0; i < 1000 && r == 0; i++)
                r = hl_fastcgi_write(request, piece, sizeof(piece));
        assert_int_equal(r, -EPIPE);
        hl_fastcgi_finish(request, "", 0);
        end_talk(&talk);
}

static void what_is_not_fastcgi(void **state)
{
        (void)state;
        static const char *const junk[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\2\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1" };
        for (size_t i = 0; i < HL_COUNT(junk); i++) {
                struct talk talk = begin_talk();
                send_bytes(&talk, junk[i], strlen(junk[i]));
                leave(&talk);
                expect_nothing(&talk, PATIENT_US);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_request),
                cmocka_unit_test(no_answer_is_an_end),
                cmocka_unit_test(a_long_answer_is_whole),
                cmocka_unit_test(who_leaves_before_the_answer),
                cmocka_unit_test(who_comes_and_leaves),
                cmocka_unit_test(half_a_record),
                cmocka_unit_test(who_goes_silent_is_not_waited_for),
                cmocka_unit_test(a_body_that_does_not_come),
                cmocka_unit_test(an_aborted_request_is_not_answered),
                cmocka_unit_test(who_does_not_read_is_not_waited_for),
                cmocka_unit_test(what_is_not_fastcgi),
        };
        must(hl_fastcgi_init() == 0);
        return cmocka_run_group_tests_name("fastcgi_request", tests, NULL, NULL);
}
