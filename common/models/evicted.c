/* SPDX-License-Identifier: MIT */
#include "evicted.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *model)
{
        return hl_format("%s/%s", hl_folder("HL_EVICTED_DIRECTORY", HL_EVICTED_FOLDER), model);
}

void hl_evicted_count(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd)
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        if (fd >= 0 && write(fd, "\n", 1) < 0)
                return;
}

uint64_t hl_evicted_of(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        return lstat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}
