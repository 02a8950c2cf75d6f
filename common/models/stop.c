/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "ready_mark.h"
#include "systemd/units.h"
#include "turnstile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOPPED_FOLDER "/run/home-lab-services/stopped"
#define SLACK_US (5 * HL_USEC_PER_MSEC) /* NGINX's times are milliseconds, cut off, of two clocks */

/* ---- when it was ---- */

/* The modification time is the begin, the access time the end, or 0. The process that waits for the end holds a
 * lock. */
struct times {
        uint64_t begin_us, end_us;
        bool is_awaited;
};

static char *path_of(const char *model)
{
        return hl_format("%s/%s", hl_folder("HL_STOPPED_DIRECTORY", STOPPED_FOLDER), model);
}

static int note(const struct hl_stop *stop, uint64_t end_us)
{
        const struct timespec both[] = { hl_timespec_of(end_us), hl_timespec_of(stop->begin_us) };
        return futimens(stop->times_fd, both) < 0 ? -errno : 0;
}

static int note_begin(struct hl_stop *stop, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(stop->model->name);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        stop->begin_us = hl_clock_monotonic();
        stop->times_fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        if (stop->times_fd < 0 || note(stop, 0) < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", path);
        fcntl(stop->times_fd, F_OFD_SETLK, &lock); /* where another process holds it, that one waits for the same end */
        return 0;
}

static void forget(const struct hl_stop *stop)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(stop->model->name);
        unlink(path);
}

static bool read_times(const char *model, struct times *ret_times)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        struct stat status;
        if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0 || fstat(fd, &status) < 0)
                return false;
        *ret_times = (struct times){ .begin_us = hl_timespec_us(status.st_mtim),
                                     .end_us = hl_timespec_us(status.st_atim),
                                     .is_awaited = lock.l_type != F_UNLCK };
        return true;
}

/* ---- the stop ---- */

static void let_go(int *fd)
{
        hl_close_fd(fd);
        *fd = -1;
}

static void on_end(void *data)
{
        const struct hl_stop *stop = data;
        if (stop->times_fd >= 0 && strcmp(stop->job.result, "done") == 0)
                note(stop, hl_clock_monotonic());
}

int hl_stop_begin(struct hl_stop *stop, struct hl_err *err)
{
        stop->job.ended = on_end;
        stop->job.data = stop;
        /* Before the job: whatever becomes of this process, its stop is known. */
        int r = stop->is_quiet ? note_begin(stop, err) : 0;
        if (r == 0) {
                r = hl_job_begin(&stop->job, err);
                if (r < 0 && stop->is_quiet)
                        forget(stop);
        }
        let_go(&stop->lock_fd);
        return r;
}

void hl_stop_free(struct hl_stop *stop)
{
        let_go(&stop->lock_fd);
        let_go(&stop->times_fd);
        hl_job_free(&stop->job);
        if (stop->model)
                hl_turnstile_lower(stop->model->name, &stop->turnstile_fd);
}

/* ---- what it cut ---- */

/* Of what runs now; 0: nothing does. */
static uint64_t start_of(const char *unit)
{
        uint64_t start_us = hl_unit_start_hint(unit);
        return start_us == 0 ? 0 : hl_clock_monotonic_of(start_us);
}

bool hl_stop_was_begun_since(const char *model, uint64_t since_us)
{
        struct times times;
        return read_times(model, &times) && since_us <= times.begin_us;
}

bool hl_stop_was_begun(const char *model, const char *unit)
{
        return hl_stop_was_begun_since(model, start_of(unit));
}

/* The process that was to see the end of the stop has died. */
static bool has_cut_unseen(struct hl_bus *bus, const struct hl_model *model, uint64_t begin_us, uint64_t sent_us)
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        if (hl_units_detail(bus, model->unit, &detail, &ignored) < 0)
                return false;
        if (detail.active_since_monotonic_us > begin_us) /* it was started since, and has ended once more */
                return sent_us < detail.active_since_monotonic_us;
        /* systemd forgets a unit that has ended as it was told to, and so whether it was started since. */
        bool is_known = detail.active_since_monotonic_us != 0 || !hl_ready_mark_since(model->name, begin_us);
        return is_known && (detail.active == HL_UNIT_STOPPING || detail.active == HL_UNIT_INACTIVE);
}

bool hl_stop_has_cut(struct hl_bus *bus, const struct hl_model *model, uint64_t sent_us, uint64_t failed_us)
{
        struct times t;
        if (sent_us == 0 || failed_us == 0 || !read_times(model->name, &t))
                return false;
        uint64_t sent = hl_clock_monotonic_of(sent_us), failed = hl_clock_monotonic_of(failed_us),
                 start = start_of(model->unit);
        if (failed + SLACK_US < t.begin_us || (t.end_us != 0 && sent > t.end_us + SLACK_US))
                return false;
        if (start > t.begin_us) /* what runs now is another, and had the request only if it was there already */
                return sent < start;
        return t.end_us != 0 || t.is_awaited || has_cut_unseen(bus, model, t.begin_us, sent);
}
