/* SPDX-License-Identifier: MIT */
/* The part of check.c that looks at what somebody has made of a model's unit. What systemd does not take of it is
 * ignored, and stands in the journal of a moment that nobody looks at. */
#include "base/mem.h"
#include "base/str.h"
#include "config/names.h"
#include "parts.h"
#include "unit_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Drop-ins of people: "systemctl edit" puts them there. */
static bool is_peoples(const char *path)
{
        return hl_has_prefix(path, "/etc/systemd/") || hl_has_prefix(path, "/run/systemd/");
}

/* systemd's own words, of these files alone: "/etc/…/override.conf:1: Assignment outside of section. Ignoring." */
static void verify(struct hl_check *c, const char *unit, const struct hl_names *files)
{
        HL_CLEANUP(hl_free_pointer)
        char *command = hl_format("systemd-analyze --man=no verify '%s' 2>&1", unit);
        FILE *said = strchr(unit, '\'') ? NULL : popen(command, "re");
        char *line = NULL;
        size_t size = 0;
        while (said && getline(&line, &size, said) > 0) {
                HL_CLEANUP(hl_free_pointer) char *file = hl_strndup(line, strcspn(line, ":"));
                line[strcspn(line, "\n")] = '\0';
                hl_make_printable(line);
                if (hl_names_line(files, file) > 0)
                        hl_check_note(c, "%s", line);
        }
        if (said)
                pclose(said);
        free(line);
}

void hl_check_unit(struct hl_check *c, const char *unit, const struct hl_unit_run *run, struct hl_names *verified)
{
        struct hl_names files = { 0 };
        if (strcmp(run->load_state, "masked") == 0)
                hl_check_note(c, "%s is masked, so nobody can start it: systemctl unmask %s", unit, unit);
        else if (strcmp(run->load_state, "loaded") != 0)
                hl_check_problem(c, "%s cannot be used, it is %s: systemctl status %s", unit, run->load_state, unit);
        else if (run->needs_reload)
                hl_check_note(c, "%s was changed, and systemd has not read that: systemctl daemon-reload", unit);
        for (char **file = run->drop_ins; file && *file; file++)
                if (is_peoples(*file) && hl_names_add(verified, *file, 1) == 0)
                        hl_names_add(&files, *file, 1);
        if (files.count > 0 && !hl_check_is_before_the_start()) /* nobody waits for notes there */
                verify(c, unit, &files);
        hl_names_free(&files);
}
