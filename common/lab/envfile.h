/* envfile.h - reads a file as systemd's EnvironmentFile= does.
 *
 * Shape    a pure function over the text; tells each assignment with its line. A later
 *          assignment of the same name wins, as in systemd.
 * Errors   lines that are no assignment are told to `finding`, with file as its file.
 * Source   systemd.exec(5), EnvironmentFile=.
 * Tests    tests/unit/test_catalog.c, tests/fuzz/fuzz_envfile.c
 */
#ifndef HL_LAB_ENVFILE_H
#define HL_LAB_ENVFILE_H

#include "finding.h"

#include <stddef.h>

typedef void hl_envfile_fn(void *data, unsigned line, const char *name, const char *value);

void hl_envfile_parse(const char *text, size_t len, hl_envfile_fn *assign, void *data, const char *file,
                      hl_finding_fn *finding, void *finding_data);

#endif
