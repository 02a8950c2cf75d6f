/* SPDX-License-Identifier: MIT */
/* endpoint.h - one end of a TCP connection: an address and a port.
 *
 * Shape    IPv4 is there as IPv6 has it, ::ffff:127.0.0.1: a client of the one may have a server of the other. An end
 *          that is not known is all zero, and so has port 0.
 * Errors   none: what cannot be read is not known.
 * Tests    tests/unit/base/test_endpoint.c
 */
#ifndef HL_BASE_ENDPOINT_H
#define HL_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

struct hl_endpoint {
        uint8_t address[16]; /* in network order */
        uint16_t port;       /* 0: not known */
};

struct hl_endpoint hl_endpoint_of(const struct sockaddr *address);

/* As a web server says it: "127.0.0.1" or "::1", and "40312". NULL is not known. */
struct hl_endpoint hl_endpoint_parse(const char *address, const char *port);

/* Whether it is an IPv4 address. */
bool hl_endpoint_is_v4(const struct hl_endpoint *end);

#endif
