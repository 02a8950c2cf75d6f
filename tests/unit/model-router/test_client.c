/* SPDX-License-Identifier: MIT */
/* model-router/client: whose requests are counted together. */
#include "support.h"

#include "base/mem.h"
#include "model-router/client.h"

static void addresses_of_one_client(void **state)
{
        (void)state;
        static const struct {
                const char *a, *b;
                bool same;
        } cases[] = {
                { "192.0.2.7", "192.0.2.7", true },
                { "192.0.2.7", "192.0.2.70", false },
                { "2001:db8::7", "2001:db8::8", true },
                { "2001:db8::7", "2001:db8:0:0:ffff:ffff:ffff:ffff", true },
                { "2001:db8::7", "2001:db8:0:1::7", false },
                { "fe80::1", "fe80::2", true },
                { "::ffff:192.0.2.7", "::ffff:192.0.2.7", true },
                { "::ffff:192.0.2.7", "::ffff:192.0.2.8", false },
                { "192.0.2.7", "2001:db8::7", false },
                { "::5", "::ffff:192.0.2.7", false },
                { "unknown", "unknown", true },
                { "unknown", "2001:db8::7", false },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                if (hl_router_client_same(cases[i].a, cases[i].b) != cases[i].same ||
                    hl_router_client_same(cases[i].b, cases[i].a) != cases[i].same)
                        fail_msg("%s and %s", cases[i].a, cases[i].b);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(addresses_of_one_client) };
        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
