/* SPDX-License-Identifier: MIT */
/* envfile.h - reads a file as systemd's EnvironmentFile= does.
 *
 * Shape    tells each assignment that systemd would make, with its line. A later one of the same name wins, as in
 *          systemd. What systemd drops, or reads otherwise than it looks, is a finding that says what to write.
 * Errors   0, or -EBADMSG: the file has a NUL byte, -EILSEQ: it is not UTF-8. systemd then refuses the whole file, and
 *          starts nothing with it. Of one that is not UTF-8 the assignments are told all the same, so that its
 *          reader still knows what it is about; a value may then be any bytes.
 * Source   systemd.exec(5), EnvironmentFile=; systemd's own parser, which knows more than its page says.
 * Tests    tests/unit/base/test_envfile.c, tests/fuzz/fuzz_envfile.c; tests/system/test_envfile.py asks systemd itself.
 */
#ifndef HL_BASE_ENVFILE_H
#define HL_BASE_ENVFILE_H

#include "report.h"

#include <stddef.h>

/* A comment whose line ends with a backslash takes the next line in, before this version of systemd. */
#define HL_ENVFILE_COMMENTS_END 254

struct hl_envfile {
        const char *text;
        size_t len;
        const char *path;          /* for findings */
        const char *judged;        /* "A,B": who reads these values sees comments behind them; or NULL */
        unsigned (*systemd)(void); /* the version that runs; asked only where versions differ. NULL: the newest */
};

typedef void hl_envfile_fn(void *data, unsigned line, const char *name, const char *value);

int hl_envfile_parse(const struct hl_envfile *file, hl_envfile_fn *assign, void *data, const struct hl_report *report);

#endif
