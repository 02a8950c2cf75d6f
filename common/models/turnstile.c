/* SPDX-License-Identifier: MIT */
#include "turnstile.h"

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *model)
{
        return hl_format("%s/%s", hl_folder("HL_TURNSTILE_DIRECTORY", HL_TURNSTILE_FOLDER), model);
}

static int lock(int fd, int operation)
{
        int r;
        do
                r = flock(fd, operation);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

/* A file that was just made has a time of another clock, which lies too far away. */
static uint64_t lease_left(const struct stat *status)
{
        uint64_t left_us = hl_us_minus(hl_timespec_us(status->st_mtim), hl_clock_monotonic());
        return left_us <= HL_TURNSTILE_LEASE_MAX_US ? left_us : 0;
}

/* Removes the file, unless somebody else holds it. Who does that has it for himself, so that nobody takes hold of it
 * meanwhile. 1: somebody does. */
static int remove_unheld(const char *path, int fd)
{
        struct stat status;
        int r = lock(fd, LOCK_EX | LOCK_NB);
        if (r < 0 || fstat(fd, &status) < 0)
                return 1;
        if (status.st_nlink > 0 && lease_left(&status) > 0)
                return 1;
        if (status.st_nlink > 0) /* else somebody has removed it, and what is there now is another */
                unlink(path);
        return 0;
}

int hl_turnstile_raise(const char *model, int *ret_fd, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        for (;;) {
                struct stat status;
                int fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
                int r = fd < 0 ? -errno : lock(fd, LOCK_SH); /* who looks has it for himself, for a moment */
                if (r == 0 && fstat(fd, &status) < 0)
                        r = -errno;
                if (r == 0 && status.st_nlink > 0) {
                        *ret_fd = fd;
                        return 0;
                }
                hl_close_fd(&fd);
                if (r < 0)
                        return hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r));
        }
}

void hl_turnstile_lower(const char *model, int *fd)
{
        if (*fd < 0)
                return;
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        remove_unheld(path, *fd);
        hl_close_fd(fd);
        *fd = -1;
}

bool hl_turnstile_is_up(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        return fd >= 0 && remove_unheld(path, fd) > 0;
}

int hl_turnstile_await(const char *model, int client_fd, uint64_t deadline_us)
{
        while (hl_turnstile_is_up(model)) {
                uint64_t left_us = hl_us_minus(deadline_us, hl_clock_monotonic());
                if (left_us == 0)
                        return -ETIMEDOUT;
                if (hl_sleep_or_hangup(client_fd, left_us < HL_TURNSTILE_LOOK_US ? left_us : HL_TURNSTILE_LOOK_US))
                        return -ECANCELED;
        }
        return 0;
}

int hl_turnstile_lease(const char *model, uint64_t span_us, struct hl_err *err)
{
        int fd;
        int r = hl_turnstile_raise(model, &fd, err);
        if (r < 0)
                return r;
        if (span_us > HL_TURNSTILE_LEASE_MAX_US)
                span_us = HL_TURNSTILE_LEASE_MAX_US;
        const struct timespec end = hl_timespec_of(hl_clock_monotonic() + span_us);
        const struct timespec times[] = { end, end };
        if (futimens(fd, times) < 0)
                r = hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "the turnstile of %s: %m", model);
        hl_turnstile_lower(model, &fd);
        return r;
}

uint64_t hl_turnstile_lease_left(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        return lstat(path, &status) < 0 ? 0 : lease_left(&status);
}
