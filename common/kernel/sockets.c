/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "base/err.h"
#include "base/mem.h"
#include "cgroups.h"
#include "socket_owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define DUMP_BUFFER_SIZE 65536

/* From the kernel's include/net/tcp_states.h, which is not exported. */
enum { STATE_ESTABLISHED = 1, STATE_CLOSE_WAIT = 8, STATE_LISTEN = 10 };

struct tcp_socket {
        const struct inet_diag_msg *at;
        struct tcp_info info;
        uint64_t cgroup;
        uint8_t v6_only; /* of one that listens */
};

typedef void socket_fn(void *data, const struct tcp_socket *socket);

static int open_netlink(struct hl_err *err)
{
        int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        return fd < 0 ? hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "sock_diag: %m") : fd;
}

/* It may be longer or shorter than ours, with another kernel. */
static void copy_attribute(void *to, size_t size, const struct rtattr *a)
{
        size_t len = RTA_PAYLOAD(a);
        memcpy(to, (const char *)a + RTA_LENGTH(0), len < size ? len : size);
}

static void read_socket(struct nlmsghdr *header, socket_fn *each, void *data)
{
        struct tcp_socket socket = { .at = NLMSG_DATA(header) };
        char *next = (char *)NLMSG_DATA(header) + sizeof(*socket.at), *end = (char *)header + header->nlmsg_len;
        while (end - next >= (ptrdiff_t)sizeof(struct rtattr)) {
                struct rtattr *a = (void *)next;
                if (a->rta_len < sizeof(*a) || a->rta_len > end - next)
                        break;
                if (a->rta_type == INET_DIAG_INFO)
                        copy_attribute(&socket.info, sizeof(socket.info), a);
                if (a->rta_type == INET_DIAG_CGROUP_ID)
                        copy_attribute(&socket.cgroup, sizeof(socket.cgroup), a);
                if (a->rta_type == INET_DIAG_SKV6ONLY)
                        copy_attribute(&socket.v6_only, sizeof(socket.v6_only), a);
                next += RTA_ALIGN(a->rta_len);
        }
        each(data, &socket);
}

/* Calls each for the TCP sockets in these states; port 0: all ports. A dual-stack listener's connections are AF_INET6
 * ones. The newer SOCK_DIAG_BY_FAMILY would have the kernel walk its whole table once for each family. */
static int dump(int fd, uint32_t states, uint16_t port, socket_fn *each, void *data)
{
        struct {
                struct nlmsghdr header;
                struct inet_diag_req request;
        } message = {
                .header = { .nlmsg_len = sizeof(message),
                            .nlmsg_type = TCPDIAG_GETSOCK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .request = { .idiag_states = states,
                             .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                             .id.idiag_sport =
                                     htons(port) }, /* the kernel filters by it: ten times faster than bytecode */
        };
        if (send(fd, &message, sizeof(message), 0) < 0)
                return -errno;

        HL_CLEANUP(hl_free_pointer) char *buffer = hl_alloc(DUMP_BUFFER_SIZE);
        for (;;) {
                ssize_t n = recv(fd, buffer, DUMP_BUFFER_SIZE, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                unsigned left = (unsigned)n;
                for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
                        if (h->nlmsg_type == NLMSG_DONE)
                                return 0;
                        bool is_error = h->nlmsg_type == NLMSG_ERROR;
                        if (h->nlmsg_len < (is_error ? NLMSG_LENGTH(sizeof(struct nlmsgerr))
                                                     : NLMSG_LENGTH(sizeof(struct inet_diag_msg))))
                                return -EBADMSG;
                        if (is_error)
                                return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
                        read_socket(h, each, data);
                }
        }
}

static int dump_all(uint32_t states, uint16_t port, socket_fn *each, void *data, struct hl_err *err)
{
        HL_CLEANUP(hl_close_fd) int fd = open_netlink(err);
        if (fd < 0)
                return fd;
        int r = dump(fd, states, port, each, data);
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "sock_diag: %s", strerror(-r)) : 0;
}

/* A control group, and whether it is a model's. Most connections from one address are of one group. */
struct judged {
        uint64_t cgroup;
        bool is_a_model;
};

struct counting {
        struct judged judged;
        struct hl_traffic *by_port[UINT16_MAX + 1]; /* NULL: not asked for */
        size_t wanted;                              /* the number of ports asked for, duplicates included */
        uint16_t last;                              /* of these */
};

static struct hl_endpoint end_of(const struct inet_diag_msg *socket, const __be32 *address, __be16 port)
{
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = *address };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port };
        if (socket->idiag_family == AF_INET)
                return hl_endpoint_of((struct sockaddr *)&v4);
        memcpy(&v6.sin6_addr, address, sizeof(v6.sin6_addr));
        return hl_endpoint_of((struct sockaddr *)&v6);
}

/* Whether the other end is a model's, which may have any address of loopback. */
static bool is_from_a_model(const struct inet_diag_msg *socket, struct judged *judged)
{
        struct hl_endpoint client = end_of(socket, socket->id.idiag_dst, socket->id.idiag_dport),
                           server = end_of(socket, socket->id.idiag_src, socket->id.idiag_sport);
        struct hl_socket_owner owner;
        if (!hl_socket_owner(&client, &server, &owner) || owner.cgroup == 0)
                return false;
        if (owner.cgroup != judged->cgroup)
                *judged = (struct judged){ owner.cgroup, hl_cgroups_is_below(HL_CGROUPS_OF_MODELS, owner.cgroup) };
        return judged->is_a_model;
}

/* Also as a dual-stack listener sees it, ::ffff:127.104.108.115. */
static bool is_from(const struct inet_diag_msg *socket, uint32_t address, struct judged *judged)
{
        return socket->id.idiag_dst[socket->idiag_family == AF_INET6 ? 3 : 0] == htonl(address) &&
               !is_from_a_model(socket, judged);
}

static bool is_moving(const struct tcp_info *t)
{
        return (t->tcpi_bytes_received > 0 || t->tcpi_bytes_sent > 0) &&
               (t->tcpi_last_data_recv < HL_SOCKETS_RECENT_MS || t->tcpi_last_data_sent < HL_SOCKETS_RECENT_MS);
}

static bool is_waiting(const struct inet_diag_msg *socket, const struct tcp_info *t)
{
        if (t->tcpi_bytes_received == 0 && t->tcpi_bytes_sent == 0)
                return false;
        bool tie = t->tcpi_last_data_recv == t->tcpi_last_data_sent && t->tcpi_last_data_recv < HL_SOCKETS_TIE_MS;
        bool unanswered = t->tcpi_bytes_received > 0 &&
                          (t->tcpi_bytes_sent == 0 || t->tcpi_last_data_recv < t->tcpi_last_data_sent || tie);
        unsigned fin = socket->idiag_state == STATE_CLOSE_WAIT; /* which counts as one byte */
        return unanswered || socket->idiag_rqueue > fin || socket->idiag_wqueue > 0;
}

static void count(struct hl_traffic *traffic, const struct tcp_socket *socket, struct judged *judged)
{
        const struct tcp_info *info = &socket->info;
        if (is_from(socket->at, HL_SOCKETS_OWN_SOURCE, judged))
                return;
        bool nginx = is_from(socket->at, HL_SOCKETS_NGINX_SOURCE, judged);
        bool whole = socket->at->idiag_state == STATE_ESTABLISHED, waiting = is_waiting(socket->at, info);
        bool in_flight = nginx ? whole : is_moving(info) || (waiting && whole);
        traffic->connections++;
        traffic->moving += is_moving(info);
        traffic->in_flight += in_flight;
        if (nginx)
                return;
        traffic->direct += in_flight;
        traffic->half_closed += waiting && !in_flight;
        if (info->tcpi_bytes_received > 0 && info->tcpi_last_data_recv < traffic->last_byte_age_ms)
                traffic->last_byte_age_ms = info->tcpi_last_data_recv;
        if (info->tcpi_bytes_sent > 0 && info->tcpi_last_data_sent < traffic->last_byte_age_ms)
                traffic->last_byte_age_ms = info->tcpi_last_data_sent;
}

static void count_by_port(void *data, const struct tcp_socket *socket)
{
        struct counting *counting = data;
        struct hl_traffic *traffic = counting->by_port[ntohs(socket->at->id.idiag_sport)];
        if (traffic)
                count(traffic, socket, &counting->judged);
}

static void add_port(struct counting *counting, uint16_t port, struct hl_traffic *traffic)
{
        if (port == 0)
                return;
        counting->by_port[port] = traffic;
        counting->last = port;
        counting->wanted++;
}

static int count_all(struct counting *counting, struct hl_err *err)
{
        uint32_t states = 1u << STATE_ESTABLISHED | 1u << STATE_CLOSE_WAIT;
        if (counting->wanted == 0)
                return 0;
        return dump_all(states, counting->wanted == 1 ? counting->last : 0, count_by_port, counting, err);
}

int hl_sockets_read(const uint16_t *ports, size_t count, struct hl_traffic *ret_traffic, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) struct hl_traffic *traffic = hl_alloc(count * sizeof(*traffic));
        HL_CLEANUP(hl_free_pointer) struct counting *counting = NULL; /* large, so not for nothing */
        for (size_t i = 0; i < count; i++) {
                traffic[i].last_byte_age_ms = HL_AGE_NEVER;
                if (ports[i] && !counting)
                        counting = hl_alloc(sizeof(*counting));
                if (ports[i])
                        add_port(counting, ports[i], &traffic[i]);
        }
        int r = counting ? count_all(counting, err) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < count; i++)
                ret_traffic[i] = ports[i] ? *counting->by_port[ports[i]] : traffic[i];
        return 0;
}

struct unit_search {
        struct counting counting;
        struct hl_traffic traffic;
        uint64_t cgroup;
        bool found;
};

static void add_unit_port(void *data, const struct tcp_socket *socket)
{
        struct unit_search *search = data;
        uint16_t port = ntohs(socket->at->id.idiag_sport);
        if (socket->cgroup != search->cgroup)
                return;
        search->found = true;
        if (!search->counting.by_port[port])
                add_port(&search->counting, port, &search->traffic);
}

int hl_sockets_read_unit(uint16_t port, uint64_t cgroup, struct hl_traffic *ret_traffic, uint16_t *ret_port,
                         struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) struct unit_search *search = hl_alloc(sizeof(*search));
        search->traffic.last_byte_age_ms = HL_AGE_NEVER;
        search->cgroup = cgroup;
        int r = cgroup ? dump_all(1u << STATE_LISTEN, 0, add_unit_port, search, err) : 0;
        bool is_elsewhere = search->found && !search->counting.by_port[port];
        uint16_t counted = is_elsewhere ? search->counting.last : port;
        if (r >= 0 && !is_elsewhere) {
                r = hl_sockets_read(&port, 1, &search->traffic, err);
        } else if (r >= 0) {
                add_port(&search->counting, port, &search->traffic);
                r = count_all(&search->counting, err);
        }
        if (r < 0)
                return r;
        *ret_traffic = search->traffic;
        *ret_port = counted;
        return search->found;
}

/* ---- who listens ---- */

struct telling {
        hl_listener_fn *each;
        void *data;
};

static void tell_listener(void *data, const struct tcp_socket *socket)
{
        const struct telling *telling = data;
        const struct inet_diag_msg *at = socket->at;
        struct hl_listener listener = { .uid = at->idiag_uid,
                                        .inode = at->idiag_inode,
                                        .cgroup = socket->cgroup,
                                        .port = ntohs(at->id.idiag_sport),
                                        .is_v6 = at->idiag_family == AF_INET6,
                                        .v6_only = socket->v6_only };
        memcpy(listener.address, at->id.idiag_src, listener.is_v6 ? 16 : 4);
        telling->each(telling->data, &listener);
}

int hl_sockets_listeners(uint16_t port, hl_listener_fn *each, void *data, struct hl_err *err)
{
        struct telling telling = { .each = each, .data = data };
        return dump_all(1u << STATE_LISTEN, port, tell_listener, &telling, err);
}

unsigned hl_listener_takes_loopback(const struct hl_listener *l)
{
        static const uint8_t any[16] = { 0 }, loopback[4] = { 127, 0, 0, 1 },
                             mapped[16] = { [10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1 };
        if (l->is_v6)
                return memcmp(l->address, mapped, 16) == 0               ? 3
                       : !l->v6_only && memcmp(l->address, any, 16) == 0 ? 1
                                                                         : 0;
        return memcmp(l->address, loopback, 4) == 0 ? 3 : memcmp(l->address, any, 4) == 0 ? 2 : 0;
}

struct search {
        struct hl_listener listener;
        unsigned rank;
        bool found;
};

static void note_listener(void *data, const struct hl_listener *listener)
{
        struct search *search = data;
        unsigned rank = hl_listener_takes_loopback(listener);
        if (search->found && rank < search->rank)
                return;
        *search = (struct search){ .listener = *listener, .rank = rank, .found = true };
}

int hl_sockets_listener(uint16_t port, struct hl_listener *ret_listener, struct hl_err *err)
{
        struct search search = { 0 };
        int r = hl_sockets_listeners(port, note_listener, &search, err);
        if (r < 0)
                return r;
        if (search.found)
                *ret_listener = search.listener;
        return search.found;
}

static void note_member(void *data, const struct tcp_socket *socket)
{
        struct unit_search *search = data;
        search->found |= socket->cgroup == search->cgroup;
}

int hl_sockets_listens(uint16_t port, uint64_t cgroup, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) struct unit_search *search = hl_alloc(sizeof(*search));
        search->cgroup = cgroup;
        int r = dump_all(1u << STATE_LISTEN, port, note_member, search, err);
        return r < 0 ? r : search->found;
}
