/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "buf.h"
#include "mem.h"

#include <endian.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#define PRIORITY_MAX LOG_NOTICE
#define PATIENCE_SECONDS 1 /* for a journal that is behind */

static const struct sockaddr_un journal = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };

static const char *identifier = "home-lab-services";
static int journal_fd = -1;
static atomic_bool stalled; /* the last line was not taken in time */

void hl_log_open(const char *name)
{
        const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
        identifier = name;
        if (journal_fd >= 0 || access(journal.sun_path, W_OK) < 0)
                return;
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (journal_fd >= 0)
                setsockopt(journal_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/* A value of one line as "NAME=value", any other behind its length. */
static void add_field(struct hl_buf *out, const char *name, const char *value)
{
        uint64_t len = strlen(value), len_le = htole64(len);
        hl_buf_adds(out, name);
        if (strchr(value, '\n')) {
                hl_buf_adds(out, "\n");
                hl_buf_add(out, &len_le, sizeof(len_le));
        } else {
                hl_buf_adds(out, "=");
        }
        hl_buf_add(out, value, len);
        hl_buf_adds(out, "\n");
}

/* Not libsystemd's sd_journal_sendv(): that waits for a journald that hangs, for as long as it does. */
static void send_line(const struct hl_buf *line)
{
        int flags = MSG_NOSIGNAL | (stalled ? MSG_DONTWAIT : 0);
        stalled = sendto(journal_fd, line->data, line->len, flags, (const struct sockaddr *)&journal, sizeof(journal)) <
                  0;
}

bool hl_log_takes(int priority)
{
        return journal_fd < 0 || priority <= PRIORITY_MAX;
}

void hl_log(int priority, const struct hl_log_field *fields, const char *format, ...)
{
        if (!hl_log_takes(priority))
                return;
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *message = hl_vformat(format, args);
        va_end(args);
        if (journal_fd < 0) {
                fprintf(stderr, "<%d>%s: %s\n", priority, identifier, message);
                return;
        }

        struct hl_buf line = { 0 };
        add_field(&line, "MESSAGE", message);
        add_field(&line, "PRIORITY", (const char[]){ (char)('0' + priority), '\0' });
        add_field(&line, "SYSLOG_IDENTIFIER", identifier);
        for (; fields && fields->name; fields++)
                if (fields->value)
                        add_field(&line, fields->name, fields->value);
        send_line(&line);
        hl_buf_free(&line);
}

void hl_log_status(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *text = hl_vformat(format, args);
        va_end(args);
        sd_notifyf(0, "STATUS=%s", text);
}
