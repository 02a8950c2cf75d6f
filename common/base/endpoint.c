/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include "str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { [10] = 0xFF, [11] = 0xFF };

static struct hl_endpoint make(const void *address, bool is_v4, uint16_t port)
{
        struct hl_endpoint end = { .port = port };
        if (is_v4)
                memcpy(end.address, v4_prefix, sizeof(v4_prefix));
        memcpy(is_v4 ? end.address + sizeof(v4_prefix) : end.address, address, is_v4 ? 4 : 16);
        return end;
}

struct hl_endpoint hl_endpoint_of(const struct sockaddr *address)
{
        const struct sockaddr_in *v4 = (const void *)address;
        const struct sockaddr_in6 *v6 = (const void *)address;
        if (address->sa_family == AF_INET)
                return make(&v4->sin_addr, true, ntohs(v4->sin_port));
        if (address->sa_family == AF_INET6)
                return make(&v6->sin6_addr, false, ntohs(v6->sin6_port));
        return (struct hl_endpoint){ 0 };
}

struct hl_endpoint hl_endpoint_parse(const char *address, const char *port)
{
        struct in6_addr bytes; /* large enough for both families */
        uint64_t number;
        if (!address || !port || hl_parse_uint(port, UINT16_MAX, &number) < 0)
                return (struct hl_endpoint){ 0 };
        if (inet_pton(AF_INET, address, &bytes) == 1)
                return make(&bytes, true, (uint16_t)number);
        if (inet_pton(AF_INET6, address, &bytes) == 1)
                return make(&bytes, false, (uint16_t)number);
        return (struct hl_endpoint){ 0 };
}

bool hl_endpoint_is_v4(const struct hl_endpoint *end)
{
        return memcmp(end->address, v4_prefix, sizeof(v4_prefix)) == 0;
}
