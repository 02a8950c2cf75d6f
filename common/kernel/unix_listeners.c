/* SPDX-License-Identifier: MIT */
#include "unix_listeners.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define DUMP_BUFFER_SIZE 65536
#define STATE_LISTEN 10 /* from the kernel's include/net/tcp_states.h, which is not exported */

static bool stands_in(const char *text, const char *path)
{
        size_t len = strlen(path);
        for (const char *at = strstr(text, path); at; at = strstr(at + 1, path))
                if (!at[len] || strchr(" \t\n'\"", at[len]))
                        return true;
        return false;
}

/* The socket's path, where it has one that stands in the text. */
static char *read_socket(const struct nlmsghdr *header, const char *text)
{
        const char *next = (const char *)header + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct unix_diag_msg)),
                   *end = (const char *)header + header->nlmsg_len;
        while (end - next >= (ptrdiff_t)sizeof(struct rtattr)) {
                struct rtattr a;
                memcpy(&a, next, sizeof(a));
                if (a.rta_len < sizeof(a) || a.rta_len > end - next)
                        break;
                if (a.rta_type == UNIX_DIAG_NAME && RTA_PAYLOAD(&a) > 1 && next[RTA_LENGTH(0)] == '/') {
                        HL_CLEANUP(hl_free_pointer) char *path = hl_strndup(next + RTA_LENGTH(0), RTA_PAYLOAD(&a));
                        if (stands_in(text, path))
                                return hl_steal(path);
                }
                next += RTA_ALIGN(a.rta_len);
        }
        return NULL;
}

static char *read_dump(int fd, const char *text)
{
        HL_CLEANUP(hl_free_pointer) char *buffer = hl_alloc(DUMP_BUFFER_SIZE);
        char *found = NULL;
        for (;;) {
                ssize_t n = recv(fd, buffer, DUMP_BUFFER_SIZE, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return found;
                unsigned left = (unsigned)n;
                for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
                        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                                return found;
                        if (!found)
                                found = read_socket(h, text);
                }
        }
}

char *hl_unix_listener_in(const char *text)
{
        struct {
                struct nlmsghdr header;
                struct unix_diag_req request;
        } message = {
                .header = { .nlmsg_len = sizeof(message),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .request = { .sdiag_family = AF_UNIX,
                             .udiag_states = 1u << STATE_LISTEN,
                             .udiag_show = UDIAG_SHOW_NAME },
        };
        if (!strchr(text, '/'))
                return NULL;
        HL_CLEANUP(hl_close_fd) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0 || send(fd, &message, sizeof(message), 0) < 0)
                return NULL;
        return read_dump(fd, text);
}
