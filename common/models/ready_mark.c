/* SPDX-License-Identifier: MIT */
#include "ready_mark.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder(void)
{
        return hl_folder("HL_READY_DIRECTORY", HL_READY_FOLDER);
}

static char *path_of(const char *model)
{
        return hl_format("%s/%s", folder(), model);
}

static int set_time(const char *path, uint64_t us)
{
        const struct timespec at = hl_timespec_of(us);
        const struct timespec times[] = { at, at };
        return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* A request that waited for its model is told of last, and was asked before the model was started. */
static bool is_marked_later(const char *path, uint64_t asked_us)
{
        struct stat status;
        if (lstat(path, &status) < 0)
                return false;
        uint64_t marked_us = hl_timespec_us(status.st_mtim);
        return marked_us >= asked_us && marked_us <= hl_clock_monotonic(); /* else it is a time of another clock */
}

int hl_ready_mark(const char *model, uint64_t asked_us)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        if (is_marked_later(path, asked_us))
                return 0;
        int r = set_time(path, asked_us);
        if (r != -ENOENT && r != -EPERM)
                return r;
        if (r == -EPERM) /* root's, who looked first: the folder is ours */
                unlink(path);
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0 && errno != EEXIST) /* somebody else marks it in the same moment */
                return -errno;
        return set_time(path, asked_us);
}

void hl_ready_mark_remove(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        unlink(path);
}

bool hl_ready_mark_since(const char *model, uint64_t start_us)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        return lstat(path, &status) == 0 && hl_timespec_us(status.st_mtim) >= start_us;
}

int hl_ready_mark_await(const char *model, uint64_t start_us, uint64_t deadline_us)
{
        HL_CLEANUP(hl_close_fd) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, folder(), IN_ATTRIB | IN_ONLYDIR) < 0)
                return -errno;
        while (!hl_ready_mark_since(model, start_us)) {
                _Alignas(struct inotify_event) char any[4096]; /* whose it is the next look says */
                int r = hl_wait_fd(fd, POLLIN, deadline_us);
                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                while (read(fd, any, sizeof(any)) > 0) {
                }
        }
        return 0;
}
