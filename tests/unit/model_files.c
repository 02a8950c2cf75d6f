/* SPDX-License-Identifier: MIT */
#include "model_files.h"

#include "support.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

unsigned test_reads;

static bool is_closed(int dir_fd, const char *path)
{
        struct stat status;
        return fstatat(dir_fd, path, &status, 0) == 0 && (status.st_mode & 07777) == 0;
}

int __real_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        test_reads++;
        return is_closed(dir_fd, path) ? -EACCES : __real_hl_read_file(dir_fd, path, max, buf);
}

int __real_inotify_add_watch(int fd, const char *path, uint32_t events);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t events);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t events)
{
        if (!is_closed(AT_FDCWD, path))
                return __real_inotify_add_watch(fd, path, events);
        errno = EACCES;
        return -1;
}

struct hl_config test_models_config(const char *folder)
{
        return (struct hl_config){ .models_dir = test_path(folder, "models"),
                                   .text = (char *)(uintptr_t)test_path(folder, "models"),
                                   .unit_template = "model@%s.service",
                                   .health_path = "/health",
                                   .start_timeout_us = HL_USEC_PER_MINUTE,
                                   .idle_threshold_us = HL_USEC_PER_MINUTE };
}
