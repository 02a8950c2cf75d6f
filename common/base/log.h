/* SPDX-License-Identifier: MIT */
/* log.h - one line for the journal, with fields that can be filtered.
 *
 * Shape    hl_log_open() once with the program's name: it becomes SYSLOG_IDENTIFIER, so
 *          `journalctl -t NAME` shows what the program said through whichever transport.
 * Errors   none: a line that cannot be written is lost, never a request. Without a
 *          journal (a test, another web server) lines go to stderr.
 * Process  one name a process; called from any thread. Values are taken as they are: the
 *          journal's protocol knows no line breaks to inject. The journal gets what our units
 *          let through (LogLevelMax=notice): LOG_INFO is for stderr alone. A journal that takes
 *          nothing holds a process up once, for a second, until it takes lines again.
 * Source   https://systemd.io/JOURNAL_NATIVE_PROTOCOL/, sd_notify(3), systemd.journal-fields(7).
 * Tests    tests/unit/base/test_log.c, tests/system/test_limits.py
 */
#ifndef HL_BASE_LOG_H
#define HL_BASE_LOG_H

#include <stdbool.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO: the priorities */

struct hl_log_field {
        const char *name;  /* upper case, such as "HL_MODEL" */
        const char *value; /* NULL: the field is left out */
};

void hl_log_open(const char *identifier);

/* Whether a line of this priority goes anywhere: what it says need not be made up otherwise. */
bool hl_log_takes(int priority);

/* fields end with a NULL name; NULL for none. */
void hl_log(int priority, const struct hl_log_field *fields, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* One line for `systemctl status` of the unit that this process is; nothing where it is none. */
void hl_log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
