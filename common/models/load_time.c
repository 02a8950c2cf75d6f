/* SPDX-License-Identifier: MIT */
#include "load_time.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"

#include <fcntl.h>
#include <sys/stat.h>

static char *path_of(const char *model)
{
        return hl_format("%s/load/%s", hl_state_dir(), model);
}

void hl_load_time_record(const char *model, uint64_t span_us)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd)
        int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        const struct timespec span = hl_timespec_of(span_us), times[] = { span, span };
        if (fd >= 0)
                futimens(fd, times);
}

uint64_t hl_load_time_of(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        uint64_t span_us = lstat(path, &status) == 0 ? hl_timespec_us(status.st_mtim) : 0;
        return span_us <= HL_START_TIMEOUT_MAX_SECONDS * HL_USEC_PER_SEC ? span_us : 0; /* a file of this moment's */
}
