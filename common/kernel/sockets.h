/* SPDX-License-Identifier: MIT */
/* sockets.h - what the kernel sees on the models' ports.
 *
 * Shape    one dump of the host's TCP sockets, for any number of ports.
 *          A connection is in flight while a request stands unanswered on it, bytes wait in
 *          a queue of its, or bytes moved in the last HL_SOCKETS_RECENT_MS. A connection on
 *          which nothing was ever asked, or that is kept alive between requests, is not.
 *          NGINX's come from HL_SOCKETS_NGINX_SOURCE, as its configuration says, and are
 *          closed a moment after their answer, unless the next request comes at once. So
 *          they are in flight while they stand, whatever moves on them. Our own
 *          questions to a model are not even connections here. Both are known by their
 *          address, which a model may use as well, and to no avail: its unit tells.
 * Units    *_ms are milliseconds; ages do not grow while the host is suspended.
 * Errors   -errno/INTERNAL: no netlink (AF_NETLINK is missing in the unit's sandbox).
 * Source   sock_diag(7), tcp_info in linux/tcp.h.
 * Tests    tests/unit/kernel/test_sockets.c: real sockets on loopback.
 */
#ifndef HL_KERNEL_SOCKETS_H
#define HL_KERNEL_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hl_err;

#define HL_SOCKETS_RECENT_MS 5000
/* A question that follows an answer within one tick of the kernel's (some ms) looks like one that was answered in that
 * tick. It counts as unanswered, but not for ever. */
#define HL_SOCKETS_TIE_MS (60 * 60 * 1000)
#define HL_AGE_NEVER UINT64_MAX
#define HL_SOCKETS_OWN_SOURCE UINT32_C(0x7F686C73) /* 127.104.108.115: where our own questions come from */
/* NGINX's source. nginx/home-lab-services/http.conf has it too. */
#define HL_SOCKETS_NGINX_SOURCE UINT32_C(0x7F6E6778)
#define HL_SOCKETS_NGINX_ADDRESS "127.110.103.120" /* the same */

/* NGINX keeps a connection to a model for the request that follows at once, and not for long: while one stands, a
 * request is taken to be on it. Servers that close what they have kept wait for seconds. One that closes it as a
 * request comes costs a POST its answer: what may have been read is not sent twice. */
#define HL_SOCKETS_NGINX_KEPT_MS 50

struct hl_traffic {
        unsigned connections;      /* established, or half closed by the client, who may wait for an answer still */
        unsigned in_flight;        /* of these, with a request on them */
        unsigned moving;           /* of those in flight, with bytes in the last HL_SOCKETS_RECENT_MS */
        unsigned half_closed;      /* with a request on them still, but none in flight: their client sends no more */
        unsigned direct;           /* of those in flight: NGINX tells when one of its own ends, of these nobody does */
        uint64_t last_byte_age_ms; /* over these connections, while they are open; HL_AGE_NEVER: nothing moved */
};

/* ports: local TCP ports; 0 and repeated ones are allowed. */
int hl_sockets_read(const uint16_t *ports, size_t count, struct hl_traffic *ret_traffic, struct hl_err *err);

/* The same for a unit's port. If the programs of its control group (units.h) listen, but not on `port`, all the ports
 * that they listen on are counted: the unit's file may have changed since its start. (A server that listens on `port`
 * may have further ports, by which its processes talk to each other: those are not counted.) Returns 1, or 0 where
 * nobody of the control group listens, or -errno. *ret_port: `port`, or one of the others. */
int hl_sockets_read_unit(uint16_t port, uint64_t cgroup, struct hl_traffic *ret_traffic, uint16_t *ret_port,
                         struct hl_err *err);

/* A socket that listens. */
struct hl_listener {
        uint32_t uid;
        uint32_t inode;
        uint64_t cgroup; /* 0: not known, before Linux 5.8 */
        uint16_t port;
        bool is_v6, v6_only;
        uint8_t address[16]; /* in network order; of IPv4 the first four */
};

typedef void hl_listener_fn(void *data, const struct hl_listener *listener);

/* Tells each that listens on a local TCP port, or on any (0). */
int hl_sockets_listeners(uint16_t port, hl_listener_fn *each, void *data, struct hl_err *err);

/* Who listens on a local TCP port: 1, 0: nobody, or -errno. Of several the one that the kernel gives a connection to
 * 127.0.0.1, if there is one. */
int hl_sockets_listener(uint16_t port, struct hl_listener *ret_listener, struct hl_err *err);

/* Whether programs of this control group listen on it, beside others perhaps: 1, 0 or -errno. */
int hl_sockets_listens(uint16_t port, uint64_t cgroup, struct hl_err *err);

/* Whether a connection to 127.0.0.1 comes to it, where there is no better one: the greater, the better. */
unsigned hl_listener_takes_loopback(const struct hl_listener *listener);

#endif
