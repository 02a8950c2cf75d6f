/* SPDX-License-Identifier: MIT */
#include "last_use.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *path_of(const char *model)
{
        return hl_format("%s/activity/%s", hl_state_dir(), model);
}

/* Opens the model's file, and makes it where it is missing, with a lock of flock(2). */
static int open_locked(const char *model, int operation, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
        HL_CLEANUP(hl_close_fd) int fd = open(path, flags, 0644);
        /* Somebody else's, or no file: the folder is ours, and what stands there says nothing that we could not say. */
        if (fd < 0 && (errno == EACCES || errno == ELOOP || errno == EISDIR || errno == ENXIO) && remove(path) == 0)
                fd = open(path, flags, 0644);
        int r = fd < 0 ? -1 : flock(fd, operation);
        while (r < 0 && fd >= 0 && errno == EINTR)
                r = flock(fd, operation);
        if (r < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", path);
        int locked = fd;
        fd = -1;
        return locked;
}

static int set(int fd, const char *model, uint64_t at_us, uint64_t age_us, struct hl_err *err)
{
        const struct timespec times[] = { hl_timespec_of(hl_us_minus(hl_clock_monotonic(), age_us)),
                                          hl_timespec_of(at_us) };
        if (futimens(fd, times) < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "the activity of %s: %m", model);
        return 0;
}

int hl_last_use_record(const char *model, struct hl_err *err)
{
        HL_CLEANUP(hl_close_fd) int fd = open_locked(model, LOCK_SH, err);
        return fd < 0 ? fd : set(fd, model, hl_clock_realtime(), 0, err);
}

int hl_last_use_record_known(const char *model, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        return access(path, F_OK) == 0 ? hl_last_use_record(model, err) : 0;
}

int hl_last_use_record_past(const char *model, uint64_t age_us, struct hl_err *err)
{
        struct hl_last_use known;
        hl_last_use_read(model, &known); /* before the file is there, if it was not */
        HL_CLEANUP(hl_close_fd) int fd = open_locked(model, LOCK_EX, err);
        if (fd < 0)
                return fd;
        if (known.age_us != HL_USEC_INFINITY)
                hl_last_use_read(model, &known); /* what was touched while this waited */
        if (known.age_us <= age_us)
                return 0;
        return set(fd, model, hl_us_minus(hl_clock_realtime(), age_us), age_us, err);
}

int hl_last_use_rebase(const char *model, struct hl_err *err)
{
        struct hl_last_use activity;
        HL_CLEANUP(hl_close_fd) int fd = open_locked(model, LOCK_EX, err);
        if (fd < 0)
                return fd;
        hl_last_use_read(model, &activity);
        return activity.needs_rebase ? set(fd, model, activity.at_us, activity.age_us, err) : 0;
}

int hl_last_use_lock(const char *model, int *ret_fd, struct hl_err *err)
{
        struct hl_last_use before_it;
        hl_last_use_read(model, &before_it);
        int fd = open_locked(model, LOCK_EX, err);
        if (fd < 0)
                return fd;
        struct hl_last_use now;
        hl_last_use_read(model, &now);
        const struct timespec never[2] = { { 0 }, { 0 } };
        /* The file is only there because it was opened: nobody has used the model. */
        if (before_it.at_us == 0 && now.needs_rebase)
                futimens(fd, never);
        *ret_fd = fd;
        return 0;
}

void hl_last_use_read(const char *model, struct hl_last_use *ret_activity)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        *ret_activity = (struct hl_last_use){ .age_us = HL_USEC_INFINITY };
        if (lstat(path, &status) < 0 || status.st_mtim.tv_sec <= 0)
                return;

        uint64_t at_us = hl_timespec_us(status.st_mtim), stamp_us = hl_timespec_us(status.st_atim);
        uint64_t now_us = hl_clock_realtime(), monotonic_us = hl_clock_monotonic(), boot_us = hl_clock_boottime();
        uint64_t real_age_us = hl_us_minus(now_us, at_us), suspended_us = hl_us_minus(boot_us, monotonic_us);
        ret_activity->at_us = at_us < now_us ? at_us : now_us;
        if (real_age_us > boot_us) { /* before this boot no clock runs but this one */
                ret_activity->age_us = real_age_us;
        } else if (stamp_us <= monotonic_us) { /* an access time of today is far greater than any time since boot */
                ret_activity->age_us = monotonic_us - stamp_us;
                if (at_us > now_us)
                        ret_activity->at_us = hl_us_minus(now_us, ret_activity->age_us);
        } else {
                ret_activity->age_us = hl_us_minus(real_age_us, suspended_us);
                ret_activity->needs_rebase = true;
        }
}

uint64_t hl_last_use_at(const char *model)
{
        struct hl_last_use activity;
        hl_last_use_read(model, &activity);
        return activity.at_us;
}

struct hl_listing hl_last_use_list(void)
{
        HL_CLEANUP(hl_free_pointer) char *folder = path_of("");
        return hl_listing_read(folder);
}
