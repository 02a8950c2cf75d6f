#include "probe.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATUS_LINE_LEN 12 /* "HTTP/1.1 200" */

static int connect_by(int fd, uint16_t port, uint64_t deadline_us)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return -errno;
        int r = hl_wait_fd(fd, POLLOUT, deadline_us);
        if (r <= 0)
                return r == 0 ? -ETIMEDOUT : r;
        int error = 0;
        socklen_t len = sizeof(error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                return -errno;
        return -error;
}

static int read_status(int fd, uint64_t deadline_us)
{
        char line[STATUS_LINE_LEN + 1] = { 0 };
        size_t len = 0;
        while (len < STATUS_LINE_LEN) {
                int r = hl_wait_fd(fd, POLLIN, deadline_us);
                if (r <= 0)
                        return r == 0 ? -ETIMEDOUT : r;
                ssize_t n = read(fd, line + len, STATUS_LINE_LEN - len);
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return -EPROTO;
                len += n > 0 ? (size_t)n : 0;
        }
        int status;
        if (sscanf(line, "HTTP/1.%*1d %3d", &status) != 1 || status < 100)
                return -EPROTO;
        return status;
}

int hl_probe(uint16_t port, const char *path, uint64_t deadline_us)
{
        HL_CLEANUP(hl_close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        HL_CLEANUP(hl_free_pointer)
        char *request = hl_format(
                "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: home-lab-services\r\nConnection: close\r\n\r\n",
                path, port);
        int r = connect_by(fd, port, deadline_us);
        if (r == 0)
                r = hl_write_all(fd, request, strlen(request), deadline_us);
        return r < 0 ? r : read_status(fd, deadline_us);
}
