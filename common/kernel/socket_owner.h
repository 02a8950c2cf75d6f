/* SPDX-License-Identifier: MIT */
/* socket_owner.h - who of this host is at the other end of a connection?
 *
 * Shape    one question to the kernel about one socket, the client's own, found by both ends as the server sees them.
 *          So it costs the same however many sockets there are.
 * Errors   none: where the kernel does not say, nobody is known. So it is of a client that has closed its socket, that
 *          is on another host or in another network, or whose connection was redirected from another port.
 * Source   sock_diag(7), linux/inet_diag.h.
 * Tests    tests/unit/kernel/test_socket_owner.c, tests/system/test_who.py
 */
#ifndef HL_KERNEL_SOCKET_OWNER_H
#define HL_KERNEL_SOCKET_OWNER_H

#include "base/endpoint.h"

#define HL_NOBODY 65534 /* all users whom a process with PrivateUsers= does not know: everybody but itself and root */

/* Who has made the socket. */
struct hl_socket_owner {
        uint32_t uid;    /* as this process's user namespace has it, so HL_NOBODY may be anybody */
        uint64_t cgroup; /* cgroups.h; 0: not known, before Linux 5.8 */
};

/* False: not known. */
bool hl_socket_owner(const struct hl_endpoint *client, const struct hl_endpoint *server,
                     struct hl_socket_owner *ret_owner);

#endif
