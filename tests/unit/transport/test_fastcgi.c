/* SPDX-License-Identifier: MIT */
/* The FastCGI transport's life: it ends when idle, and after SIGTERM answers what it has taken, if that does not take
 * too long. (What it answers is tested with the built programs, in tests/doors/test_fastcgi.py.) */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "transport/fastcgi.h"
#include "transport/listener.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int begun[2], go_on[2]; /* the answer says that it has begun, and waits until it may go on */

static void answer(const void *service, const struct hl_request *request, struct hl_response *response)
{
        char byte = 'x';
        (void)service;
        (void)request;
        if (write(begun[1], &byte, 1) != 1 || read(go_on[0], &byte, 1) != 1)
                _exit(1);
        hl_response_json(response, 200, hl_json_new());
}

struct place {
        struct sockaddr_un address;
        socklen_t len;
};

static int listen_on(struct place *place)
{
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        *place = (struct place){ .address.sun_family = AF_UNIX, .len = sizeof(place->address) };
        assert_int_equal(bind(fd, (struct sockaddr *)&place->address, sizeof(sa_family_t)), 0); /* autobind: unix(7) */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&place->address, &place->len), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

static const struct hl_fastcgi_limits patient = { .first_us = 60 * HL_USEC_PER_SEC,
                                                  .idle_us = 60 * HL_USEC_PER_SEC,
                                                  .drain_us = 60 * HL_USEC_PER_SEC,
                                                  .receive_us = HL_USEC_PER_SEC,
                                                  .threads_max = 4,
                                                  .kept_max = 1 };

static pid_t start_worker(int listen_fd, struct hl_fastcgi_limits limits)
{
        const struct hl_server server = { .name = "test", .answer = answer };
        pid_t pid = fork();
        if (pid == 0)
                _exit(hl_fastcgi_serve(listen_fd, &limits, &server) == 0 ? 0 : 1);
        return pid;
}

static void ended_well(pid_t pid)
{
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* No parameters, no body: FastCGI 1.0, section 3. */
static const unsigned char request_records[] = {
        1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, /* BEGIN_REQUEST: responder, close afterwards */
        1, 4, 0, 1, 0, 0, 0, 0,                         /* the end of the parameters */
        1, 5, 0, 1, 0, 0, 0, 0,                         /* the end of the body */
};

/* The same, and the web server keeps the connection for the next. */
static const unsigned char keeping_records[] = {
        1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, /* */
        1, 4, 0, 1, 0, 0, 0, 0,                         /* */
        1, 5, 0, 1, 0, 0, 0, 0,                         /* */
};
_Static_assert(sizeof(keeping_records) == sizeof(request_records), "the same but for a flag");

/* The same, and REQUEST_METHOD is GET. */
static const unsigned char getting_records[] = {
        1,  1, 0,   1,   0,   8,   0,   0,   0,   1,   1,   0,   0,   0,   0,   0, /* */
        1,  4, 0,   1,   0,   19,  0,   0,                                         /* 19 bytes of parameters */
        14, 3, 'R', 'E', 'Q', 'U', 'E', 'S', 'T', '_', 'M', 'E', 'T', 'H', 'O', 'D', 'G', 'E', 'T', /* */
        1,  4, 0,   1,   0,   0,   0,   0,                                                          /* */
        1,  5, 0,   1,   0,   0,   0,   0,                                                          /* */
};

/* A worker, and a client whose request it has begun to answer. */
struct talk {
        struct place place;
        int listen_fd, client;
        pid_t pid;
};

static void send_request(int client, const unsigned char *records)
{
        size_t len = records == getting_records ? sizeof(getting_records) : sizeof(request_records);
        assert_int_equal(write(client, records, len), len);
}

static void begins(void)
{
        char byte;
        assert_int_equal(read(begun[0], &byte, 1), 1);
}

static void ask(int client, const unsigned char *records)
{
        send_request(client, records);
        begins();
}

static int connect_to(const struct place *place)
{
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(client, (const struct sockaddr *)&place->address, place->len), 0);
        return client;
}

static struct talk begin_talk_with(struct hl_fastcgi_limits limits, const unsigned char *records)
{
        struct talk talk = { .client = -1 };
        talk.listen_fd = listen_on(&talk.place);
        assert_int_equal(pipe(begun), 0);
        assert_int_equal(pipe(go_on), 0);
        talk.pid = start_worker(talk.listen_fd, limits);
        talk.client = connect_to(&talk.place);
        ask(talk.client, records);
        return talk;
}

static struct talk begin_talk(struct hl_fastcgi_limits limits)
{
        return begin_talk_with(limits, request_records);
}

static void may_answer(void)
{
        assert_int_equal(write(go_on[1], "x", 1), 1);
}

/* What the client gets until the other side closes; then the worker has ended, and well. */
static bool answered_at_the_end(const struct talk *talk)
{
        char bytes[4096] = "";
        size_t len = 0;
        for (ssize_t n = 1; n > 0; len += (size_t)n)
                n = read(talk->client, bytes + len, sizeof(bytes) - len);
        close(talk->client);
        ended_well(talk->pid);
        close(talk->listen_fd);
        for (int i = 0; i < 2; i++) {
                close(begun[i]);
                close(go_on[i]);
        }
        return memmem(bytes, len, "Status: 200 OK", strlen("Status: 200 OK")) != NULL;
}

static void ends_when_nobody_asks(void **state)
{
        (void)state;
        struct place place;
        HL_CLEANUP(hl_close_fd) int fd = listen_on(&place);
        struct hl_fastcgi_limits limits = patient;
        limits.first_us = 50 * HL_USEC_PER_MSEC;
        ended_well(start_worker(fd, limits));
}

static void ends_when_idle(void **state)
{
        (void)state;
        struct hl_fastcgi_limits limits = patient;
        limits.idle_us = 50 * HL_USEC_PER_MSEC;
        struct talk talk = begin_talk(limits);
        may_answer();
        assert_true(answered_at_the_end(&talk));
}

/* To the record that ends an answer. Whether there is one. */
static bool read_answer(int client)
{
        unsigned char header[8];
        char content[4096];
        while (recv(client, header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
                size_t len = (size_t)(header[4] << 8 | header[5]) + header[6];
                if (len > 0 && recv(client, content, len, MSG_WAITALL) != (ssize_t)len)
                        return false;
                if (header[1] == 3)
                        return true;
        }
        return false;
}

static bool is_closed(int client)
{
        char byte;
        return read(client, &byte, 1) == 0;
}

static void a_kept_connection_is_answered_again(void **state)
{
        (void)state;
        struct talk talk = begin_talk_with(patient, keeping_records);
        may_answer();
        assert_true(read_answer(talk.client));
        ask(talk.client, keeping_records);
        may_answer();
        assert_true(read_answer(talk.client));
        ask(talk.client, request_records); /* the last one: then it is closed */
        may_answer();
        assert_true(read_answer(talk.client));
        assert_true(is_closed(talk.client));
        assert_int_equal(kill(talk.pid, SIGTERM), 0);
        assert_false(answered_at_the_end(&talk));
}

static void more_are_not_kept(void **state)
{
        (void)state;
        struct hl_fastcgi_limits limits = patient;
        limits.kept_max = 0;
        struct talk talk = begin_talk_with(limits, keeping_records);
        may_answer();
        assert_true(read_answer(talk.client));
        assert_true(is_closed(talk.client));
        assert_int_equal(kill(talk.pid, SIGTERM), 0);
        assert_false(answered_at_the_end(&talk));
}

/* What is told to stop, and what ends by itself, closes them. */
static void nobody_waits_for_a_kept_connection(void **state)
{
        (void)state;
        for (int stops = 0; stops < 2; stops++) {
                struct hl_fastcgi_limits limits = patient;
                if (!stops)
                        limits.idle_us = 50 * HL_USEC_PER_MSEC;
                struct talk talk = begin_talk_with(limits, keeping_records);
                may_answer();
                assert_true(read_answer(talk.client));
                if (stops)
                        assert_int_equal(kill(talk.pid, SIGTERM), 0);
                assert_true(is_closed(talk.client));
                assert_false(answered_at_the_end(&talk));
        }
}

/* The loop sees none of them come. */
static void what_comes_by_a_kept_connection_counts_as_use(void **state)
{
        (void)state;
        struct hl_fastcgi_limits limits = patient;
        limits.idle_us = HL_USEC_PER_SEC;
        struct talk talk = begin_talk_with(limits, keeping_records);
        may_answer();
        assert_true(read_answer(talk.client));
        ask(talk.client, keeping_records);
        hl_sleep_or_hangup(-1, limits.idle_us * 3 / 2);
        may_answer();
        assert_true(read_answer(talk.client));
        assert_true(is_closed(talk.client)); /* in the end */
        assert_false(answered_at_the_end(&talk));
}

/* Both come by kept connections, which one thread looks at. What comes with the slow one, or later, is answered. */
static void a_slow_answer_holds_up_nobody(void **state)
{
        const unsigned char *const records[] = { keeping_records, getting_records };
        struct hl_fastcgi_limits limits = patient;
        (void)state;
        limits.kept_max = 3;
        for (size_t i = 0; i < HL_COUNT(records); i++) {
                struct talk talk = begin_talk_with(limits, records[i]);
                int clients[] = { talk.client, connect_to(&talk.place), connect_to(&talk.place) };
                ask(clients[1], records[i]);
                ask(clients[2], records[i]);
                for (size_t j = 0; j < HL_COUNT(clients); j++)
                        may_answer();
                for (size_t j = 0; j < HL_COUNT(clients); j++)
                        assert_true(read_answer(clients[j]));

                send_request(clients[0], records[i]);
                send_request(clients[1], records[i]);
                begins();
                begins();
                ask(clients[2], records[i]);
                for (size_t j = 0; j < HL_COUNT(clients); j++)
                        may_answer();
                for (size_t j = 0; j < HL_COUNT(clients); j++)
                        assert_true(read_answer(clients[j]));
                close(clients[1]);
                close(clients[2]);
                assert_int_equal(kill(talk.pid, SIGTERM), 0);
                assert_false(answered_at_the_end(&talk));
        }
}

static void sigterm_answers_what_was_taken(void **state)
{
        (void)state;
        struct talk talk = begin_talk(patient);
        assert_int_equal(kill(talk.pid, SIGTERM), 0);
        may_answer();
        assert_true(answered_at_the_end(&talk));
}

static void sigterm_waits_only_so_long(void **state)
{
        (void)state;
        struct hl_fastcgi_limits limits = patient;
        limits.drain_us = 50 * HL_USEC_PER_MSEC;
        struct talk talk = begin_talk(limits);
        assert_int_equal(kill(talk.pid, SIGTERM), 0);
        assert_false(answered_at_the_end(&talk));
}

/* accept4() fails so often first (see tests/tests.mk: --wrap). */
static int accepts_that_fail;

int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
        if (accepts_that_fail == 0)
                return __real_accept4(fd, address, len, flags);
        accepts_that_fail--;
        errno = accepts_that_fail % 2 ? EMFILE : ENFILE;
        return -1;
}

static void without_descriptors_it_rests(void **state)
{
        (void)state;
        struct hl_fastcgi_limits limits = patient;
        limits.idle_us = 10 * HL_USEC_PER_MSEC; /* a rest is no end */
        uint64_t began_us = hl_clock_monotonic();
        accepts_that_fail = 3;
        struct talk talk = begin_talk(limits);
        accepts_that_fail = 0; /* in this process */
        assert_true(hl_clock_monotonic() - began_us >= 3 * HL_LISTENER_REST_US);
        may_answer();
        assert_true(answered_at_the_end(&talk));
}

static void the_environment_says_when_it_is_idle(void **state)
{
        const struct {
                const char *text;
                uint64_t us;
        } cases[] = {
                { "90", 90 * HL_USEC_PER_SEC },
                { "500ms", 500 * HL_USEC_PER_MSEC },
                { "1d", HL_IDLE_MAX_US },
                { "", hl_fastcgi_limits.idle_us },
                { "-1", hl_fastcgi_limits.idle_us },
                { "2d", hl_fastcgi_limits.idle_us },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                setenv("HL_IDLE_SECONDS", cases[i].text, 1);
                assert_int_equal(hl_fastcgi_limits_from_env().idle_us, cases[i].us);
        }
        unsetenv("HL_IDLE_SECONDS");
        assert_int_equal(hl_fastcgi_limits_from_env().idle_us, 30 * HL_USEC_PER_SEC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ends_when_nobody_asks),
                cmocka_unit_test(ends_when_idle),
                cmocka_unit_test(a_kept_connection_is_answered_again),
                cmocka_unit_test(more_are_not_kept),
                cmocka_unit_test(nobody_waits_for_a_kept_connection),
                cmocka_unit_test(what_comes_by_a_kept_connection_counts_as_use),
                cmocka_unit_test(a_slow_answer_holds_up_nobody),
                cmocka_unit_test(sigterm_answers_what_was_taken),
                cmocka_unit_test(sigterm_waits_only_so_long),
                cmocka_unit_test(without_descriptors_it_rests),
                cmocka_unit_test(the_environment_says_when_it_is_idle),
        };
        return cmocka_run_group_tests_name("fastcgi", tests, NULL, NULL);
}
