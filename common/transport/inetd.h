/* SPDX-License-Identifier: MIT */
/* inetd.h - HTTP/1.1 on one accepted connection: keep-alive, pipelining, one deadline a request.
 *
 * Units    limits are microseconds. stop_fd is hl_stream's, for answers that go on.
 * Owner    the connection stays the caller's; it is left shut down, not closed.
 * Source   RFC 9112.
 * Tests    tests/unit/transport/test_serve.c
 */
#ifndef HL_TRANSPORT_INETD_H
#define HL_TRANSPORT_INETD_H

#include "server.h"

struct hl_inetd_limits {
        uint64_t first_us;      /* for the first byte of the connection, which systemd has waited for already */
        uint64_t request_us;    /* for a whole request to arrive, from its first byte on */
        uint64_t idle_us;       /* between two requests */
        uint64_t write_us;      /* for the client to take a response */
        uint64_t linger_us;     /* for the client to read a last answer while it is still sending */
        uint64_t connection_us; /* after it a response says "close", so that no unit's RuntimeMaxSec= cuts a request */
};

extern const struct hl_inetd_limits hl_inetd_limits; /* those of the product */

void hl_inetd_serve(int fd, const struct hl_inetd_limits *limits, int stop_fd, const struct hl_server *server);

#endif
