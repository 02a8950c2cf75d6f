/* SPDX-License-Identifier: MIT */
/* kernel/socket_owner: real sockets on loopback, which are this process's user's as long as they are open. */
#include "support.h"

#include "base/mem.h"
#include "kernel/socket_owner.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct hl_endpoint end_of(int fd, bool other)
{
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        must((other ? getpeername : getsockname)(fd, (struct sockaddr *)&address, &len) == 0);
        return hl_endpoint_of((struct sockaddr *)&address);
}

/* As a server asks about who has connected. */
static bool is_known(int server_fd, struct hl_socket_owner *ret_owner)
{
        struct hl_endpoint client = end_of(server_fd, true), server = end_of(server_fd, false);
        return hl_socket_owner(&client, &server, ret_owner);
}

static void who_is_connected_is_known(void **state)
{
        (void)state;
        struct test_connection c = test_open_connection();
        struct hl_socket_owner owner = { .uid = 12345 };
        assert_true(is_known(c.server, &owner));
        assert_int_equal(owner.uid, geteuid());
        must(shutdown(c.client, SHUT_WR) == 0); /* it waits for its answer */
        owner.uid = 12345;
        assert_true(is_known(c.server, &owner));
        assert_int_equal(owner.uid, geteuid());
        test_close_connection(&c);
}

/* The kernel tells of such a socket that it is root's. */
static void who_has_closed_is_nobody(void **state)
{
        (void)state;
        for (int with_reset = 0; with_reset < 2; with_reset++) {
                struct test_connection c = test_open_connection();
                const struct linger reset = { .l_onoff = with_reset };
                struct hl_socket_owner owner = { .uid = 12345 };
                struct hl_endpoint client = end_of(c.server, true), server = end_of(c.server, false);
                must(setsockopt(c.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
                close(c.client);
                assert_false(hl_socket_owner(&client, &server, &owner));
                close(c.server); /* then it waits for its end, or is no more */
                assert_false(hl_socket_owner(&client, &server, &owner));
                assert_int_equal(owner.uid, 12345);
                close(c.listener);
        }
}

static void what_is_no_connection_is_nobodys(void **state)
{
        (void)state;
        struct test_connection c = test_open_connection();
        struct hl_endpoint client = end_of(c.server, true), server = end_of(c.server, false), other = client,
                           unknown = { 0 };
        struct hl_socket_owner owner = { .uid = 12345 };
        other.port = (uint16_t)(client.port ^ 1);
        assert_false(hl_socket_owner(&other, &server, &owner)); /* the one that listens would answer for it */
        assert_false(hl_socket_owner(&server, &unknown, &owner));
        assert_false(hl_socket_owner(&unknown, &unknown, &owner));
        struct hl_endpoint v6 = hl_endpoint_parse("::1", "5001");
        assert_false(hl_socket_owner(&client, &v6, &owner));
        assert_int_equal(owner.uid, 12345);
        test_close_connection(&c);
}

static void both_families_are_looked_up(void **state)
{
        (void)state;
        struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
        int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
        if (listener < 0)
                skip(); /* this host has no IPv6 */
        socklen_t len = sizeof(address);
        must(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 &&
             bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 4) == 0 &&
             getsockname(listener, (struct sockaddr *)&address, &len) == 0);
        int by_v4 = test_connect(ntohs(address.sin6_port)), by_v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int served = accept(listener, NULL, NULL);
        struct hl_socket_owner owner = { .uid = 12345 };
        assert_true(is_known(served, &owner)); /* ::ffff:127.0.0.1 for the one, 127.0.0.1 for the other */
        assert_int_equal(owner.uid, geteuid());
        address.sin6_addr = in6addr_loopback;
        if (connect(by_v6, (struct sockaddr *)&address, sizeof(address)) == 0) {
                int served_by_v6 = accept(listener, NULL, NULL);
                owner.uid = 12345;
                assert_true(is_known(served_by_v6, &owner));
                assert_int_equal(owner.uid, geteuid());
                close(served_by_v6);
        }
        close(by_v6);
        close(by_v4);
        close(served);
        close(listener);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_is_connected_is_known),
                cmocka_unit_test(who_has_closed_is_nobody),
                cmocka_unit_test(what_is_no_connection_is_nobodys),
                cmocka_unit_test(both_families_are_looked_up),
        };
        return cmocka_run_group_tests_name("socket_owner", tests, NULL, NULL);
}
