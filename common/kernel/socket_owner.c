/* SPDX-License-Identifier: MIT */
#include "socket_owner.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_SIZE 8192 /* one socket, without anything that was not asked for */

/* From the kernel's include/net/tcp_states.h, which is not exported. */
enum { STATE_ESTABLISHED = 1, STATE_FIN_WAIT1 = 4, STATE_FIN_WAIT2 = 5, STATE_CLOSE_WAIT = 8 };

/* One that its program has closed has no inode, and where the kernel tells no user it says 0: that is not root. One
 * that waits for its end, and one that listens in the place of what was asked for, are nobody's. */
static bool is_somebodys(const struct inet_diag_msg *socket)
{
        bool is_open = socket->idiag_state == STATE_ESTABLISHED || socket->idiag_state == STATE_FIN_WAIT1 ||
                       socket->idiag_state == STATE_FIN_WAIT2 || socket->idiag_state == STATE_CLOSE_WAIT;
        return is_open && socket->idiag_inode != 0;
}

static void set_end(__be32 address[static 4], __be16 *port, const struct hl_endpoint *end)
{
        bool is_v4 = hl_endpoint_is_v4(end);
        memcpy(address, is_v4 ? end->address + 12 : end->address, is_v4 ? 4 : 16);
        *port = htons(end->port);
}

static uint64_t read_cgroup(struct nlmsghdr *header)
{
        char *at = (char *)NLMSG_DATA(header) + sizeof(struct inet_diag_msg);
        unsigned left = header->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(struct inet_diag_msg));
        uint64_t number = 0;
        for (struct rtattr *a = (void *)at; RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) == sizeof(number))
                        memcpy(&number, RTA_DATA(a), sizeof(number));
        return number;
}

/* The answer is there at once: the kernel gives it while it is asked. To make a socket for that costs more than to ask,
 * so one is kept. */
static ssize_t ask_kernel(const void *question, size_t len, char answer[static ANSWER_SIZE])
{
        static int kept = -1;
        int fd = __atomic_exchange_n(&kept, -1, __ATOMIC_ACQ_REL), none = -1;
        if (fd < 0)
                fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        ssize_t n = fd < 0 || send(fd, question, len, 0) < 0 ? -1 : recv(fd, answer, ANSWER_SIZE, MSG_DONTWAIT);
        /* After a failure an answer may come that would be taken for that of the next question. */
        if (n < 0 || !__atomic_compare_exchange_n(&kept, &none, fd, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                hl_close_fd(&fd);
        return n;
}

bool hl_socket_owner(const struct hl_endpoint *client, const struct hl_endpoint *server,
                     struct hl_socket_owner *ret_owner)
{
        struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } message = {
                .header = { .nlmsg_len = sizeof(message),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST },
                .request = { .sdiag_family = hl_endpoint_is_v4(client) ? AF_INET : AF_INET6,
                             .sdiag_protocol = IPPROTO_TCP,
                             .idiag_states = UINT32_MAX,
                             .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
        };
        if (client->port == 0 || server->port == 0 || hl_endpoint_is_v4(client) != hl_endpoint_is_v4(server))
                return false;
        set_end(message.request.id.idiag_src, &message.request.id.idiag_sport, client);
        set_end(message.request.id.idiag_dst, &message.request.id.idiag_dport, server);

        _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
        ssize_t n = ask_kernel(&message, sizeof(message), answer);
        struct nlmsghdr *header = (void *)answer;
        if (n < 0 || !NLMSG_OK(header, (unsigned)n) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
            header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
                return false;
        const struct inet_diag_msg *socket = NLMSG_DATA(header);
        if (!is_somebodys(socket) || socket->id.idiag_sport != message.request.id.idiag_sport ||
            socket->id.idiag_dport != message.request.id.idiag_dport)
                return false;
        *ret_owner = (struct hl_socket_owner){ .uid = socket->idiag_uid, .cgroup = read_cgroup(header) };
        return true;
}
