#include "probe.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "inflight.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int begin(struct hl_probe *probe, uint16_t port, const char *path, const char *version)
{
        const struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(HL_INFLIGHT_OWN_SOURCE) },
                                 address = { .sin_family = AF_INET,
                                             .sin_port = htons(port),
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        *probe = (struct hl_probe){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
        if (probe->fd < 0 || bind(probe->fd, (const struct sockaddr *)&own, sizeof(own)) < 0)
                return -errno;
        if (connect(probe->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
                return -errno;
        probe->request = hl_format(
                "GET %s %s\r\nHost: 127.0.0.1:%u\r\nUser-Agent: home-lab-services\r\nConnection: close\r\n\r\n", path,
                version, port);
        return 0;
}

int hl_probe_begin(struct hl_probe *probe, uint16_t port, const char *path)
{
        return begin(probe, port, path, "HTTP/1.1");
}

static int again(short events, short *ret_events)
{
        *ret_events = events;
        return -EAGAIN;
}

int hl_probe_step(struct hl_probe *probe, short *ret_events)
{
        size_t request_len = strlen(probe->request);
        while (probe->sent < request_len) {
                /* A refused connection shows here: as an error of send(). */
                ssize_t n = send(probe->fd, probe->request + probe->sent, request_len - probe->sent, MSG_NOSIGNAL);
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? again(POLLOUT, ret_events) : -errno;
                probe->sent += (size_t)n;
        }
        while (probe->len < HL_PROBE_STATUS_LEN) {
                ssize_t n = read(probe->fd, probe->answer + probe->len, HL_PROBE_STATUS_LEN - probe->len);
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? again(POLLIN, ret_events) : -errno;
                if (n == 0)
                        return -EPROTO;
                probe->len += (size_t)n;
        }
        int status;
        if (sscanf(probe->answer, "HTTP/1.%*1d %3d", &status) != 1 || status < 100)
                return -EPROTO;
        return status;
}

void hl_probe_end(struct hl_probe *probe)
{
        hl_close_fd(&probe->fd);
        probe->fd = -1;
        free(hl_steal(probe->request));
}

/* The status of a probe that has begun. */
static int wait_for_status(struct hl_probe *probe, uint64_t deadline_us)
{
        short events;
        int r;
        while ((r = hl_probe_step(probe, &events)) == -EAGAIN) {
                int ready = hl_wait_fd(probe->fd, events, deadline_us);
                if (ready <= 0)
                        return ready == 0 ? -ETIMEDOUT : ready;
        }
        return r;
}

int hl_probe(uint16_t port, const char *path, uint64_t deadline_us)
{
        HL_CLEANUP(hl_probe_end) struct hl_probe probe;
        int r = hl_probe_begin(&probe, port, path);
        return r < 0 ? r : wait_for_status(&probe, deadline_us);
}

int hl_probe_text(uint16_t port, const char *path, uint64_t deadline_us, struct hl_buf *answer)
{
        HL_CLEANUP(hl_probe_end) struct hl_probe probe;
        int r = begin(&probe, port, path, "HTTP/1.0"); /* 1.0: the body comes in one piece, not in chunks */
        int status = r < 0 ? r : wait_for_status(&probe, deadline_us);
        while (status >= 0) {
                char bytes[16384];
                r = hl_wait_fd(probe.fd, POLLIN, deadline_us);
                if (r <= 0)
                        return r == 0 ? -ETIMEDOUT : r;
                ssize_t n = read(probe.fd, bytes, sizeof(bytes));
                if (n == 0)
                        break;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                r = n > 0 ? hl_buf_add(answer, bytes, (size_t)n) : 0;
                if (r < 0)
                        return r;
        }
        return status;
}
