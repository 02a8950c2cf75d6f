/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <errno.h>
#include <sys/socket.h>

bool hl_is_listening(int fd)
{
        int listening = 0;
        socklen_t len = sizeof(listening);
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

bool hl_is_network(int fd)
{
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof(address);
        return hl_is_listening(fd) && getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
               (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

int hl_listener_accept(int listen_fd, bool *ret_rest)
{
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), r = fd < 0 ? -errno : fd;
        *ret_rest = r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
        return r;
}
