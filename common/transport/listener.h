/* SPDX-License-Identifier: MIT */
/* listener.h - a listening socket that systemd holds, and connections to it.
 *
 * Units    microseconds
 * Tests    tests/unit/transport/test_network.c, tests/unit/transport/test_fastcgi.c
 */
#ifndef HL_TRANSPORT_LISTENER_H
#define HL_TRANSPORT_LISTENER_H

#include "base/clock.h"

#include <stdbool.h>

/* Without a file descriptor left no connection can be taken: the next try is after this time, and who asks waits in
 * the socket's queue. */
#define HL_LISTENER_REST_US (100 * HL_USEC_PER_MSEC)

/* Whether fd is a listening socket: what a FastCGI program is started with. */
bool hl_is_listening(int fd);

/* Whether fd is a listening socket of TCP. FastCGI is never spoken there: who writes to it says who the client is. */
bool hl_is_network(int fd);

/* Takes a connection. *ret_rest: none can be taken now. -errno. */
int hl_listener_accept(int listen_fd, bool *ret_rest);

#endif
