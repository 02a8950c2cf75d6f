/* SPDX-License-Identifier: MIT */
#include "count.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(enum hl_counted what, const char *model)
{
        static const struct {
                const char *variable, *usual;
        } folders[] = {
                [HL_COUNTED_EVICTED] = { "HL_EVICTED_DIRECTORY", "/run/home-lab-services/evicted" },
                [HL_COUNTED_HELD] = { "HL_HELD_DIRECTORY", "/run/home-lab-services/held" },
        };
        return hl_format("%s/%s", hl_folder(folders[what].variable, folders[what].usual), model);
}

void hl_count_add(enum hl_counted what, const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(what, model);
        HL_CLEANUP(hl_close_fd)
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        if (fd >= 0 && write(fd, "\n", 1) < 0)
                return;
}

uint64_t hl_count_of(enum hl_counted what, const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(what, model);
        struct stat status;
        return lstat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

struct hl_listing hl_count_list(enum hl_counted what)
{
        HL_CLEANUP(hl_free_pointer) char *folder = path_of(what, "");
        return hl_listing_read(folder);
}
