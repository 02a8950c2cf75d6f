/* SPDX-License-Identifier: MIT */
#include "keep.h"

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *model)
{
        return hl_format("%s/%s", hl_folder("HL_KEEP_DIRECTORY", "/run/home-lab-services/keep"), model);
}

static int note(const char *path, uint64_t end_us)
{
        HL_CLEANUP(hl_close_fd)
        int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        const struct timespec end = hl_timespec_of(end_us), times[] = { end, end };
        return fd < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

int hl_keep(const char *model, uint64_t span_us, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        if (span_us > HL_KEEP_MAX_US)
                span_us = HL_KEEP_MAX_US;
        int r = 0;
        if (span_us > 0)
                r = note(path, hl_clock_monotonic() + span_us);
        else if (unlink(path) < 0 && errno != ENOENT)
                r = -errno;
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r)) : 0;
}

uint64_t hl_keep_left(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        uint64_t left_us =
                lstat(path, &status) == 0 ? hl_us_minus(hl_timespec_us(status.st_mtim), hl_clock_monotonic()) : 0;
        return left_us <= HL_KEEP_MAX_US ? left_us : 0; /* a file that was only made: its time is of another clock */
}

struct hl_listing hl_keep_list(void)
{
        HL_CLEANUP(hl_free_pointer) char *folder = path_of("");
        return hl_listing_read(folder);
}
