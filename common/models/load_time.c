/* SPDX-License-Identifier: MIT */
#include "load_time.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "systemd/units.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char *path_of(const char *model)
{
        return hl_format("%s/load/%s", hl_state_dir(), model);
}

static void log_it(const char *model, uint64_t span_us)
{
        char ms[24], span[HL_SPAN_SIZE];
        snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(span_us / HL_USEC_PER_MSEC));
        const struct hl_log_field fields[] = {
                { "MESSAGE_ID", HL_LOADED_MESSAGE_ID }, { "HL_MODEL", model }, { "HL_LOAD_MS", ms }, { NULL, NULL }
        };
        hl_log(LOG_NOTICE, fields, "%s is ready, %s after its start", model, hl_format_span(span_us, span));
}

void hl_load_time_record(const char *model, uint64_t span_us)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_close_fd)
        int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
        const struct timespec span = hl_timespec_of(span_us), times[] = { span, span };
        if (fd >= 0)
                futimens(fd, times);
        log_it(model, span_us);
}

void hl_load_time_record_now(const char *model, const char *unit)
{
        uint64_t start_us = hl_unit_start_hint(unit);
        if (start_us > 0)
                hl_load_time_record(model, hl_us_minus(hl_clock_realtime(), start_us));
}

uint64_t hl_load_time_of(const char *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        struct stat status;
        uint64_t span_us = lstat(path, &status) == 0 ? hl_timespec_us(status.st_mtim) : 0;
        return span_us <= HL_START_TIMEOUT_MAX_SECONDS * HL_USEC_PER_SEC ? span_us : 0; /* a file of this moment's */
}
