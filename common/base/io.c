/* SPDX-License-Identifier: MIT */
#include "io.h"

#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLED_US HL_USEC_PER_SEC /* more than a step of any file system's clock */

int hl_wait_fd(int fd, short events, uint64_t deadline_us)
{
        for (;;) {
                uint64_t now = hl_clock_monotonic();
                if (now >= deadline_us)
                        return 0;
                struct timespec timeout = hl_timespec_of(deadline_us - now);
                struct pollfd poll_fd = { .fd = fd, .events = events };
                int r = ppoll(&poll_fd, 1, &timeout, NULL);
                if (r > 0)
                        return 1;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

bool hl_sleep_or_hangup(int fd, uint64_t us)
{
        const struct timespec pause = hl_timespec_of(us);
        struct pollfd other = { .fd = fd, .events = POLLRDHUP };
        return ppoll(&other, 1, &pause, NULL) > 0;
}

int hl_write_all(int fd, const void *bytes, size_t len, uint64_t deadline_us)
{
        const char *next = bytes;
        while (len > 0) {
                int r = hl_wait_fd(fd, POLLOUT, deadline_us);
                if (r <= 0)
                        return r == 0 ? -ETIMEDOUT : r;
                ssize_t n = write(fd, next, len);
                if (n < 0) {
                        if (errno == EINTR || errno == EAGAIN)
                                continue;
                        return -errno;
                }
                next += n;
                len -= (size_t)n;
        }
        return 0;
}

int hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        /* O_NONBLOCK: a named pipe in the way must not hold us up. */
        HL_CLEANUP(hl_close_fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        struct stat status;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (S_ISDIR(status.st_mode))
                return -EISDIR;
        if (!S_ISREG(status.st_mode))
                return -EINVAL;

        for (size_t total = 0;;) {
                char piece[4096];
                ssize_t n = read(fd, piece, sizeof(piece));
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                total += (size_t)n;
                if (total > max || hl_buf_add(buf, piece, (size_t)n) < 0)
                        return -EFBIG;
        }
}

bool hl_may_pass(int r)
{
        static const int lasting[] = { ENOENT, EACCES, EPERM, EFBIG, EISDIR, ENOTDIR, ELOOP, EILSEQ, EBADMSG, EINVAL };
        for (size_t i = 0; i < HL_COUNT(lasting); i++)
                if (r == -lasting[i])
                        return false;
        return r < 0;
}

bool hl_is_link(const char *path)
{
        return readlink(path, &(char){ 0 }, 1) >= 0;
}

bool hl_is_same_file(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
               memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
               memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

bool hl_file_has_settled(const struct stat *status)
{
        return hl_us_minus(hl_clock_realtime(), hl_timespec_us(status->st_ctim)) > SETTLED_US;
}

const char *hl_folder(const char *variable, const char *usual)
{
        const char *value = getenv(variable);
        return value && *value == '/' ? value : usual;
}

int hl_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, gid_t gid)
{
        uint64_t random;
        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                return -errno;
        HL_CLEANUP(hl_free_pointer) char *temporary = hl_format("%s.%016llx", path, (unsigned long long)random);
        HL_CLEANUP(hl_close_fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        struct stat status;
        if (fd < 0)
                return -errno;

        int r = fstat(fd, &status) < 0 ? -errno : hl_write_all(fd, bytes, len, UINT64_MAX);
        /* Not asked for where nothing is to change: services may not change owners at all, and some no modes. */
        if (r == 0 && gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) < 0)
                r = -errno;
        if (r == 0 && (status.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
                r = -errno;
        if (r == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
                r = -errno;
        if (r < 0)
                unlink(temporary);
        return r;
}
