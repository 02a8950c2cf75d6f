/* SPDX-License-Identifier: MIT */
#include "host_door.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_US (40 * HL_USEC_PER_SEC)  /* logind is asked several times, and each may take HL_BUS_CALL_TIMEOUT_US */
#define QUESTION_US (5 * HL_USEC_PER_SEC) /* a sweep has it ready */

static int receive(int fd, void *data, size_t size, uint64_t timeout_us, size_t *ret_len)
{
        int r = hl_wait_fd(fd, POLLIN, hl_clock_monotonic() + timeout_us);
        ssize_t n = r > 0 ? recv(fd, data, size, MSG_DONTWAIT | MSG_TRUNC) : -1;
        if (r <= 0 || n < 0)
                return r == 0 ? -ETIMEDOUT : r < 0 ? r : -errno;
        *ret_len = (size_t)n;
        return 0;
}

static int ask(int fd, const char *path, const struct hl_host_seen *seen, uint64_t *ret_shutdown_at_us)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        uint64_t at_us;
        size_t len = 0;
        if (fd < 0)
                return -errno;
        hl_copy(address.sun_path, sizeof(address.sun_path), path);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            send(fd, seen, seen ? sizeof(*seen) : 0, MSG_NOSIGNAL) < 0)
                return -errno;
        int r = receive(fd, &at_us, sizeof(at_us), ANSWER_US, &len);
        if (r == 0 && len != sizeof(at_us))
                r = -ECONNRESET;
        if (r == 0)
                *ret_shutdown_at_us = at_us;
        return r;
}

int hl_host_ask(const char *path, const struct hl_host_seen *seen, uint64_t *ret_shutdown_at_us, struct hl_err *err)
{
        HL_CLEANUP(hl_close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        int r = ask(fd, path, seen, ret_shutdown_at_us);
        return r < 0 ? hl_fail(err, HL_ERR_BUSY, -r, "internal_error",
                               "%s does not answer: %s: systemctl restart model-idle-sweep-host.socket", path,
                               strerror(-r))
                     : 0;
}

void hl_host_answer(int listener, hl_host_decide_fn *decide)
{
        struct hl_host_seen seen;
        size_t len = 0;
        if (hl_wait_fd(listener, POLLIN, hl_clock_monotonic() + QUESTION_US) <= 0)
                return;
        HL_CLEANUP(hl_close_fd) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return;
        bool is_seen = receive(fd, &seen, sizeof(seen), QUESTION_US, &len) == 0 && len == sizeof(seen);
        uint64_t at_us = decide(is_seen ? &seen : NULL);
        send(fd, &at_us, sizeof(at_us), MSG_NOSIGNAL | MSG_DONTWAIT);
}
