/* SPDX-License-Identifier: MIT */
/* transport/network: who gets a place, and how it ends. Clients have several addresses of loopback. */
#include "support.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "transport/listener.h"
#include "transport/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char go_on[] = "GET /on HTTP/1.1\r\nHost: localhost\r\n\r\n", part[] = "GET / HTTP/1.1\r\nX-Slow: ";

/* An answer that goes on until the program is to end. */
static void follow(void *data, const struct hl_stream *stream)
{
        (void)data;
        must(stream->write(stream->data, "more", 4) == 0);
        must(hl_wait_fd(stream->stop_fd, POLLIN, test_deadline()) == 1);
        must(stream->write(stream->data, "end", 3) == 0);
}

static void free_nothing(void *data)
{
        (void)data;
}

static void answer(const void *service, const struct hl_request *request, struct hl_response *response)
{
        (void)service;
        response->status = 200;
        response->content_type = "text/plain";
        hl_buf_addf(&response->body, "to %s", request->peer.name);
        if (strcmp(request->path, "/on") != 0)
                return;
        response->stream = follow;
        response->stream_free = free_nothing;
}

static const struct hl_network_limits patient = { .first_us = TEST_TIMEOUT_US,
                                                  .idle_us = TEST_TIMEOUT_US,
                                                  .drain_us = TEST_TIMEOUT_US,
                                                  .connection_seconds = 60,
                                                  .connections_max = 3,
                                                  .source_max = 2 };

static pid_t start(struct hl_network_limits limits, uint16_t *ret_port)
{
        const struct hl_server server = { .name = "test", .answer = answer };
        int listener = test_listen(ret_port);
        pid_t pid = fork();
        if (pid == 0)
                _exit(hl_network_serve(listener, &limits, &server) == 0 ? 0 : 1);
        must(pid > 0);
        close(listener);
        return pid;
}

static int status_of(pid_t pid)
{
        int status;
        must(waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int connect_from(const char *source, uint16_t port, const char *text)
{
        struct sockaddr_in address = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(inet_pton(AF_INET, source, &address.sin_addr) == 1);
        must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        must(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr) == 1);
        address.sin_port = htons(port);
        must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        must(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
        return fd;
}

/* What comes before it is closed. */
static bool gets(int fd, const char *text)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf got = { 0 };
        while (!test_contains(&got, text)) {
                char bytes[1024];
                must(hl_wait_fd(fd, POLLIN, test_deadline()) == 1);
                ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
                if (n <= 0)
                        return false;
                hl_buf_add(&got, bytes, (size_t)n);
        }
        return true;
}

static bool is_answered(const char *source, uint16_t port)
{
        static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        HL_CLEANUP(hl_close_fd) int fd = connect_from(source, port, request);
        HL_CLEANUP(hl_free_pointer) char *expected = hl_format("to %s", source);
        return gets(fd, expected);
}

static void a_source_has_a_part_of_the_places(void **state)
{
        (void)state;
        uint16_t port;
        pid_t pid = start(patient, &port);
        int first = connect_from("127.0.0.1", port, part), second = connect_from("127.0.0.1", port, part);
        assert_false(is_answered("127.0.0.1", port));
        assert_true(is_answered("127.0.0.2", port));
        close(second);
        uint64_t deadline_us = test_deadline();
        while (!is_answered("127.0.0.1", port)) /* as soon as its process has ended */
                must(hl_clock_monotonic() < deadline_us);
        close(first);
        kill(pid, SIGTERM);
        assert_int_equal(status_of(pid), 0);
}

static void all_sources_have_a_limit(void **state)
{
        (void)state;
        static const char *const sources[] = { "127.0.0.1", "127.0.0.1", "127.0.0.2" };
        uint16_t port;
        int fds[HL_COUNT(sources)];
        pid_t pid = start(patient, &port);
        for (size_t i = 0; i < HL_COUNT(sources); i++)
                fds[i] = connect_from(sources[i], port, part);
        assert_false(is_answered("127.0.0.3", port));
        for (size_t i = 0; i < HL_COUNT(sources); i++)
                close(fds[i]);
        kill(pid, SIGTERM);
        assert_int_equal(status_of(pid), 0);
}

static void what_goes_on_ends_when_it_is_told_to_stop(void **state)
{
        (void)state;
        uint16_t port;
        pid_t pid = start(patient, &port);
        int fd = connect_from("127.0.0.1", port, go_on);
        assert_true(gets(fd, "more"));
        kill(pid, SIGTERM);
        assert_true(gets(fd, "end"));
        close(fd);
        assert_int_equal(status_of(pid), 0);
}

static void what_takes_too_long_is_not_waited_for(void **state)
{
        (void)state;
        struct hl_network_limits limits = patient;
        uint16_t port;
        limits.drain_us = 20 * HL_USEC_PER_MSEC;
        pid_t pid = start(limits, &port);
        int fd = connect_from("127.0.0.1", port, part);
        assert_true(is_answered("127.0.0.1", port)); /* so the one before was taken, too */
        kill(pid, SIGTERM);
        assert_int_equal(status_of(pid), 0);
        close(fd);
}

static void it_ends_when_nobody_asks(void **state)
{
        (void)state;
        struct hl_network_limits limits = patient;
        uint16_t port;
        limits.first_us = limits.idle_us = 50 * HL_USEC_PER_MSEC;
        assert_int_equal(status_of(start(limits, &port)), 0);
        limits.first_us = TEST_TIMEOUT_US;
        pid_t pid = start(limits, &port);
        assert_true(is_answered("127.0.0.1", port));
        assert_int_equal(status_of(pid), 0);
}

static void it_speaks_to_sockets_that_listen_to_the_network(void **state)
{
        (void)state;
        struct test_connection tcp = test_open_connection();
        int local = socket(AF_UNIX, SOCK_STREAM, 0);
        must(bind(local, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t)) == 0 &&
             listen(local, 1) == 0);
        assert_true(hl_is_network(tcp.listener));
        assert_false(hl_is_network(tcp.server));
        assert_false(hl_is_network(local)); /* of FastCGI */
        close(local);
        test_close_connection(&tcp);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_source_has_a_part_of_the_places),
                cmocka_unit_test(all_sources_have_a_limit),
                cmocka_unit_test(what_goes_on_ends_when_it_is_told_to_stop),
                cmocka_unit_test(what_takes_too_long_is_not_waited_for),
                cmocka_unit_test(it_ends_when_nobody_asks),
                cmocka_unit_test(it_speaks_to_sockets_that_listen_to_the_network),
        };
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
