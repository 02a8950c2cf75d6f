/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

/* sd_journal_sendv() says success when there is no journal, so we look for it ourselves. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static const char *identifier = "home-lab-services";
static bool have_journal;

void hl_log_open(const char *name)
{
        identifier = name;
        have_journal = access(JOURNAL_SOCKET, W_OK) == 0;
}

static struct iovec text_iovec(char *text)
{
        return (struct iovec){ .iov_base = text, .iov_len = __builtin_strlen(text) };
}

void hl_log(int priority, const struct hl_log_field *fields, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *message = hl_vformat(format, args);
        va_end(args);
        if (!have_journal) {
                fprintf(stderr, "<%d>%s: %s\n", priority, identifier, message);
                return;
        }

        struct iovec parts[HL_LOG_FIELDS_MAX + 3];
        int count = 0;
        parts[count++] = text_iovec(hl_format("MESSAGE=%s", message));
        parts[count++] = text_iovec(hl_format("PRIORITY=%d", priority));
        parts[count++] = text_iovec(hl_format("SYSLOG_IDENTIFIER=%s", identifier));
        for (; fields && fields->name && count < HL_LOG_FIELDS_MAX + 3; fields++)
                if (fields->value)
                        parts[count++] = text_iovec(hl_format("%s=%s", fields->name, fields->value));
        sd_journal_sendv(parts, count);
        while (count > 0)
                free(parts[--count].iov_base);
}

void hl_log_status(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *text = hl_vformat(format, args);
        va_end(args);
        sd_notifyf(0, "STATUS=%s", text);
}
