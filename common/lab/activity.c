#include "activity.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *model)
{
        return hl_format("%s/activity/%s", hl_state_dir(), model);
}

int hl_activity_touch(const char *model, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        if (fd < 0 || futimens(fd, NULL) < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", path);
        return 0;
}

uint64_t hl_activity_last(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        if (lstat(path, &status) < 0)
                return 0;
        return (uint64_t)status.st_mtim.tv_sec * HL_USEC_PER_SEC + (uint64_t)status.st_mtim.tv_nsec / 1000;
}
