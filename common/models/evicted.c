/* SPDX-License-Identifier: MIT */
#include "evicted.h"

#include "base/io.h"
#include "base/log.h"
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

void hl_evicted_log(const char *model, const char *why, const char *request_id)
{
        const struct hl_log_field fields[] = { { "MESSAGE_ID", HL_EVICTION_MESSAGE_ID },
                                               { "HL_MODEL", model },
                                               { "HL_REQUEST_ID", request_id },
                                               { NULL, NULL } };
        hl_log(LOG_NOTICE, fields, "%s", why);
}

uint64_t hl_evicted_of(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        return lstat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}
