/* SPDX-License-Identifier: MIT */
/* kernel/sockets: real sockets on loopback. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "kernel/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the kernel answers, where a test answers in its place. */
static const void *kernel_says;
static size_t kernel_says_len;

ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
        if (!kernel_says)
                return __real_recv(fd, bytes, size, flags);
        must(kernel_says_len <= size);
        memcpy(bytes, kernel_says, kernel_says_len);
        return (ssize_t)kernel_says_len;
}

#define TICK_US (12 * 1000) /* more than one of the kernel's, at 100 Hz */

static struct hl_traffic look(uint16_t port)
{
        struct hl_traffic traffic;
        struct hl_err err = { 0 };
        if (hl_sockets_read(&port, 1, &traffic, &err) != 0)
                fail_msg("%s", err.message);
        return traffic;
}

/* Sends, and waits until it arrived. */
static void say(int from, int to, bool read_it)
{
        char bytes[16];
        must(write(from, "hello", 5) == 5 && hl_wait_fd(to, POLLIN, test_deadline()) == 1);
        if (read_it)
                must(read(to, bytes, sizeof(bytes)) == 5);
}

/* Writes until no more fits into both sides' queues. */
static void stuff(int fd)
{
        char bytes[65536] = { 0 };
        do {
                while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                        ;
        } while (hl_wait_fd(fd, POLLOUT, hl_clock_monotonic() + 20 * HL_USEC_PER_MSEC) == 1);
}

/* One wait for all of these: a connection counts as recent for HL_SOCKETS_RECENT_MS. */
static void what_counts_as_in_flight(void **state)
{
        (void)state;
        struct test_connection silent = test_open_connection(), unanswered = test_open_connection(),
                               answered = test_open_connection(), waiting = test_open_connection(),
                               stuffed = test_open_connection(), left = test_open_connection();
        say(unanswered.client, unanswered.server, true);
        say(answered.client, answered.server, true);
        must(usleep(TICK_US) == 0); /* the answer must be younger than the question */
        say(answered.server, answered.client, true);
        say(waiting.client, waiting.server, false); /* nobody has read this one */
        must(usleep(TICK_US) == 0);
        say(waiting.server, waiting.client, true);
        say(stuffed.client, stuffed.server, true);
        must(usleep(TICK_US) == 0);
        stuff(stuffed.server); /* the client does not take its answer */
        say(left.client, left.server, true);
        shutdown(left.client, SHUT_WR);
        must(hl_wait_fd(left.server, POLLRDHUP, test_deadline()) == 1);

        struct hl_traffic t = look(silent.port);
        assert_int_equal(t.connections, 1);
        assert_int_equal(t.in_flight, 0); /* nothing was ever asked on it */
        assert_true(t.last_byte_age_ms == HL_AGE_NEVER);
        assert_int_equal(look(unanswered.port).in_flight, 1);
        assert_int_equal(look(answered.port).in_flight, 1); /* bytes moved just now */
        assert_true(look(answered.port).last_byte_age_ms < HL_SOCKETS_RECENT_MS);
        assert_int_equal(look(waiting.port).in_flight, 1);
        assert_int_equal(look(left.port).in_flight, 1);   /* it may still wait for its answer */
        assert_int_equal(look(left.port).connections, 1); /* until the server closes it, too */

        uint64_t deadline_us = test_deadline();
        while (look(answered.port).in_flight == 1 && hl_clock_monotonic() < deadline_us)
                nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
        t = look(answered.port);
        assert_int_equal(t.in_flight, 0); /* kept alive between two requests */
        assert_int_equal(t.connections, 1);
        assert_true(t.last_byte_age_ms >= HL_SOCKETS_RECENT_MS);
        assert_true(t.last_byte_age_ms < 2 * HL_SOCKETS_RECENT_MS);
        while (look(left.port).in_flight == 1 && hl_clock_monotonic() < deadline_us)
                nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
        t = look(left.port);
        assert_int_equal(t.in_flight, 0); /* or be gone */
        assert_int_equal(t.half_closed, 1);
        t = look(unanswered.port);
        assert_int_equal(t.in_flight, 1); /* a model that thinks for long */
        assert_int_equal(t.half_closed, 0);
        assert_int_equal(look(waiting.port).in_flight, 1);
        assert_int_equal(look(stuffed.port).in_flight, 1);
        assert_int_equal(look(silent.port).in_flight, 0);

        test_close_connection(&silent);
        test_close_connection(&unanswered);
        test_close_connection(&answered);
        test_close_connection(&waiting);
        test_close_connection(&stuffed);
        test_close_connection(&left);
}

static void many_ports_in_one_look(void **state)
{
        (void)state;
        struct test_connection a = test_open_connection(), b = test_open_connection();
        int second = test_connect(a.port), served = accept(a.listener, NULL, NULL);
        say(b.client, b.server, true);
        const uint16_t ports[] = { a.port, 0, b.port, a.port, 0 };
        struct hl_traffic t[HL_COUNT(ports)];
        struct hl_err err = { 0 };
        assert_int_equal(hl_sockets_read(ports, HL_COUNT(ports), t, &err), 0);
        assert_int_equal(t[0].connections, 2);
        assert_int_equal(t[0].in_flight, 0);
        assert_int_equal(t[1].connections, 0); /* no port */
        assert_true(t[1].last_byte_age_ms == HL_AGE_NEVER);
        assert_int_equal(t[2].connections, 1);
        assert_int_equal(t[2].in_flight, 1);
        assert_int_equal(t[3].connections, 2); /* the same port again */
        assert_int_equal(t[4].connections, 0);
        assert_int_equal(hl_sockets_read(NULL, 0, NULL, &err), 0);
        close(second);
        close(served);
        test_close_connection(&a);
        test_close_connection(&b);
}

static struct test_connection open_connection_from(uint32_t source)
{
        struct test_connection c = { .client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        c.listener = test_listen(&c.port);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(source) };
        must(bind(c.client, (struct sockaddr *)&address, sizeof(address)) == 0);
        address = (struct sockaddr_in){ .sin_family = AF_INET,
                                        .sin_port = htons(c.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        must(connect(c.client, (struct sockaddr *)&address, sizeof(address)) == 0);
        c.server = accept(c.listener, NULL, NULL);
        must(c.server >= 0);
        return c;
}

/* To ask a model is not to use it: what comes from our own address is not there. */
static void our_own_questions_are_not_seen(void **state)
{
        (void)state;
        struct test_connection c = open_connection_from(HL_SOCKETS_OWN_SOURCE);
        say(c.client, c.server, false);
        struct hl_traffic t = look(c.port);
        assert_int_equal(t.connections, 0);
        assert_int_equal(t.in_flight, 0);
        assert_true(t.last_byte_age_ms == HL_AGE_NEVER);
        test_close_connection(&c);
}

/* It closes what was answered: what stands is a request, also where a stream pauses. It tells of its end by itself. */
static void nginx_is_in_flight_while_it_is_connected(void **state)
{
        (void)state;
        struct in_addr address;
        must(inet_pton(AF_INET, HL_SOCKETS_NGINX_ADDRESS, &address) == 1);
        assert_int_equal(ntohl(address.s_addr), HL_SOCKETS_NGINX_SOURCE);
        struct test_connection c = open_connection_from(HL_SOCKETS_NGINX_SOURCE);
        say(c.client, c.server, true);
        must(usleep(TICK_US) == 0);
        say(c.server, c.client, true);
        must(usleep((HL_SOCKETS_RECENT_MS + 100) * 1000) == 0);
        struct hl_traffic t = look(c.port);
        assert_int_equal(t.connections, 1);
        assert_int_equal(t.in_flight, 1);
        assert_int_equal(t.moving, 0);
        assert_int_equal(t.direct, 0);
        assert_true(t.last_byte_age_ms == HL_AGE_NEVER);
        shutdown(c.client, SHUT_WR);
        must(hl_wait_fd(c.server, POLLRDHUP, test_deadline()) == 1);
        assert_int_equal(look(c.port).in_flight, 0);
        test_close_connection(&c);
}

/* Clients that ask again as soon as they have their answer: the kernel's clock does not tell which came first. */
static void the_next_question_at_once_is_in_flight(void **state)
{
        (void)state;
        struct test_connection c[20];
        for (size_t i = 0; i < HL_COUNT(c); i++) {
                c[i] = test_open_connection();
                say(c[i].client, c[i].server, true);
                must(usleep(TICK_US) == 0);
                say(c[i].server, c[i].client, true);
                say(c[i].client, c[i].server, true);
        }
        must(usleep((HL_SOCKETS_RECENT_MS + 100) * 1000) == 0);
        for (size_t i = 0; i < HL_COUNT(c); i++) {
                struct hl_traffic t = look(c[i].port);
                assert_int_equal(t.in_flight, 1);
                assert_int_equal(t.direct, 1);
                test_close_connection(&c[i]);
        }
}

static void a_listener_is_known_by_its_inode_user_and_cgroup(void **state)
{
        (void)state;
        uint16_t port;
        int fd = test_listen(&port);
        struct hl_listener listener = { .inode = 42 };
        struct hl_err err = { 0 };
        struct stat status;
        must(fstat(fd, &status) == 0);
        assert_int_equal(hl_sockets_listener(port, &listener, &err), 1);
        assert_int_equal(listener.inode, status.st_ino);
        assert_int_equal(listener.uid, getuid());
        assert_true(listener.cgroup > 0);
        close(fd);
        listener.inode = 42;
        assert_int_equal(hl_sockets_listener(port, &listener, &err), 0);
        assert_int_equal(listener.inode, 42);
}

/* A server listens where it was told to at its start; its file may name another port by now. */
static void wherever_the_unit_listens(void **state)
{
        (void)state;
        struct test_connection c = test_open_connection();
        struct hl_listener listener;
        struct hl_traffic traffic;
        struct hl_err err = { 0 };
        uint16_t free_port, at = 42;
        close(test_listen(&free_port));
        say(c.client, c.server, true);
        must(hl_sockets_listener(c.port, &listener, &err) == 1);

        assert_int_equal(hl_sockets_read_unit(c.port, listener.cgroup, &traffic, &at, &err), 1);
        assert_int_equal(at, c.port);
        assert_int_equal(traffic.connections, 1);
        assert_int_equal(traffic.in_flight, 1);
        assert_int_equal(hl_sockets_read_unit(free_port, listener.cgroup, &traffic, &at, &err), 1);
        assert_int_not_equal(at, free_port);
        assert_int_not_equal(at, 0);
        assert_true(traffic.in_flight >= 1);
        assert_true(traffic.last_byte_age_ms < 10000);
        assert_int_equal(hl_sockets_read_unit(0, listener.cgroup, &traffic, &at, &err), 1);
        assert_int_not_equal(at, 0);
        assert_true(traffic.in_flight >= 1);

        uint64_t others = listener.cgroup + 1000000000; /* of whom nobody listens, or nothing is known */
        for (uint64_t cgroup = 0; cgroup <= others; cgroup += others) {
                assert_int_equal(hl_sockets_read_unit(c.port, cgroup, &traffic, &at, &err), 0);
                assert_int_equal(at, c.port);
                assert_int_equal(traffic.in_flight, 1);
                assert_int_equal(hl_sockets_read_unit(free_port, cgroup, &traffic, &at, &err), 0);
                assert_int_equal(at, free_port);
                assert_int_equal(traffic.connections, 0);
                assert_int_equal(traffic.last_byte_age_ms, HL_AGE_NEVER);
        }
        test_close_connection(&c);
}

static void a_message_without_a_whole_socket_is_an_error(void **state)
{
        (void)state;
        struct {
                struct nlmsghdr header;
                char rest[20];
        } message = { .header.nlmsg_type = SOCK_DIAG_BY_FAMILY };
        for (unsigned rest = 0; rest <= sizeof(message.rest); rest += sizeof(message.rest)) {
                struct hl_traffic traffic;
                struct hl_err err = { 0 };
                uint16_t port = 8080;
                message.header.nlmsg_len = NLMSG_HDRLEN + rest;
                kernel_says = &message;
                kernel_says_len = message.header.nlmsg_len;
                int r = hl_sockets_read(&port, 1, &traffic, &err);
                kernel_says = NULL;
                assert_int_equal(r, -EBADMSG);
                assert_int_equal(err.kind, HL_ERR_INTERNAL);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_counts_as_in_flight),
                cmocka_unit_test(many_ports_in_one_look),
                cmocka_unit_test(our_own_questions_are_not_seen),
                cmocka_unit_test(nginx_is_in_flight_while_it_is_connected),
                cmocka_unit_test(the_next_question_at_once_is_in_flight),
                cmocka_unit_test(a_listener_is_known_by_its_inode_user_and_cgroup),
                cmocka_unit_test(wherever_the_unit_listens),
                cmocka_unit_test(a_message_without_a_whole_socket_is_an_error),
        };
        return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
