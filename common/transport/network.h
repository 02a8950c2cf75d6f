/* SPDX-License-Identifier: MIT */
/* network.h - connections of other machines: a listening TCP socket, and a process for each connection.
 *
 * Shape    what systemd does for Accept=yes, but for refusals. systemd makes a process to take a connection that is one
 *          too many, and starts nothing while there are more; here it costs two system calls, and this process's alone.
 *          When nothing came for idle_us the function returns and the process ends, as fastcgi.h's.
 * Units    limits are microseconds, and connections at once.
 * Process  each connection is served by a fork of the caller, in which the function returns as well. No threads.
 *          SIGTERM: no connection is taken any more, answers that go on are ended, and the rest has drain_us.
 * Tests    tests/unit/transport/test_network.c, tests/system/test_limits.py
 */
#ifndef HL_TRANSPORT_NETWORK_H
#define HL_TRANSPORT_NETWORK_H

#include "server.h"

#include <stdint.h>

struct hl_network_limits {
        uint64_t first_us, idle_us; /* as in fastcgi.h */
        uint64_t drain_us;
        unsigned connection_seconds; /* that a connection may last, as RuntimeMaxSec= of those that systemd takes */
        unsigned connections_max;
        unsigned source_max; /* of one address, or of one network of IPv6 (a /64) */
};

extern const struct hl_network_limits hl_network_limits; /* those of the product */

/* 0, also in the process of a connection; or -errno where nothing could be served. */
int hl_network_serve(int listen_fd, const struct hl_network_limits *limits, const struct hl_server *server);

#endif
