/* SPDX-License-Identifier: MIT */
#include "limits.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path)
{
        return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
}

int hl_limits_take(const char *folder, const char *what, unsigned count, int *ret_place)
{
        for (unsigned i = 0; i < count; i++) {
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s-%u", folder, what, i);
                HL_CLEANUP(hl_close_fd) int fd = open_file(path);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
                        *ret_place = fd;
                        fd = -1;
                        return 0;
                }
        }
        return -EBUSY;
}

bool hl_limits_rate(const char *folder, const char *what, unsigned at_once, uint64_t every_us)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, what);
        HL_CLEANUP(hl_close_fd) int fd = open_file(path);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) < 0)
                return true;
        uint64_t now_us = hl_clock_realtime(), spent_us = hl_timespec_us(status.st_mtim),
                 most_us = now_us + at_once * every_us;
        if (spent_us < now_us || spent_us > most_us) /* the clock was set back */
                spent_us = now_us;
        spent_us += every_us;
        if (spent_us > most_us)
                return false;
        const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, hl_timespec_of(spent_us) };
        futimens(fd, times);
        return true;
}
