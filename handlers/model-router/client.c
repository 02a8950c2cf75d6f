/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define NETWORK_SIZE 8 /* bytes: 64 bits of an IPv6 address */

bool hl_router_client_same(const char *a, const char *b)
{
        struct in6_addr x, y;
        if (strcmp(a, b) == 0)
                return true;
        return inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1 && !IN6_IS_ADDR_V4MAPPED(&x) &&
               !IN6_IS_ADDR_V4MAPPED(&y) && memcmp(&x, &y, NETWORK_SIZE) == 0;
}
