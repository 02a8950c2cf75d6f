/* SPDX-License-Identifier: MIT */
/* base/endpoint: both families in one form. */
#include "support.h"

#include "base/endpoint.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static void what_a_web_server_says_is_read(void **state)
{
        (void)state;
        static const struct {
                const char *address, *port;
                uint16_t number; /* 0: not known */
                bool is_v4;
        } cases[] = {
                { "127.0.0.1", "40312", 40312, true },
                { "::1", "5001", 5001, false },
                { "::ffff:127.0.0.1", "80", 80, true },
                { "2001:db8::1", "1", 1, false },
                { "127.0.0.1", "0", 0, true },
                { "127.0.0.1", "65536", 0, false },
                { "127.0.0.1", "-1", 0, false },
                { "127.0.0.1", "80 ", 0, false },
                { "127.0.0.1", "", 0, false },
                { "127.0.0.1", NULL, 0, false },
                { NULL, "80", 0, false },
                { "localhost", "80", 0, false },
                { "unix:", "80", 0, false },
                { "[::1]", "80", 0, false },
                { "::1%lo", "80", 0, false },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_endpoint end = hl_endpoint_parse(cases[i].address, cases[i].port);
                assert_int_equal(end.port, cases[i].number);
                assert_int_equal(hl_endpoint_is_v4(&end), cases[i].is_v4);
        }
}

static void an_address_of_the_kernels_is_the_same(void **state)
{
        (void)state;
        struct sockaddr_in v4 = { .sin_family = AF_INET,
                                  .sin_port = htons(5001),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                                   .sin6_port = htons(5001),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        struct hl_endpoint of_v4 = hl_endpoint_of((struct sockaddr *)&v4),
                           of_v6 = hl_endpoint_of((struct sockaddr *)&v6),
                           of_unix = hl_endpoint_of((struct sockaddr *)&un),
                           said = hl_endpoint_parse("127.0.0.1", "5001");
        assert_memory_equal(&of_v4, &said, sizeof(said));
        said = hl_endpoint_parse("::1", "5001");
        assert_memory_equal(&of_v6, &said, sizeof(said));
        assert_int_equal(of_unix.port, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_web_server_says_is_read),
                cmocka_unit_test(an_address_of_the_kernels_is_the_same),
        };
        return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
