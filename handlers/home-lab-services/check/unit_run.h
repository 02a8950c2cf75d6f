/* SPDX-License-Identifier: MIT */
/* unit_run.h - as whom and where a unit runs its program, and who has changed it: what a check of COMMAND has to know.
 *
 * Errors   BUSY and INTERNAL as in bus.h.
 * Owner    hl_unit_run_free(); the bus is the caller's.
 * Source   org.freedesktop.systemd1(5): the interfaces Unit and Service.
 * Tests    tests/system/test_mistakes.py
 */
#ifndef HL_HOME_LAB_SERVICES_CHECK_UNIT_RUN_H
#define HL_HOME_LAB_SERVICES_CHECK_UNIT_RUN_H

#include "systemd/bus.h"

#include <limits.h>
#include <stdbool.h>

#define HL_UNIT_USER_SIZE 64

struct hl_unit_run {
        char load_state[16];          /* "loaded", "masked", "bad-setting" */
        bool needs_reload;            /* a file of it was changed since */
        bool is_ours;                 /* its file is the model@.service that we install */
        char user[HL_UNIT_USER_SIZE]; /* "": root */
        char directory[PATH_MAX];     /* where it runs; "": / */
        bool no_new_privileges;
        bool private_tmp;
        bool is_strict;     /* ProtectSystem=strict */
        char **drop_ins;    /* files that change it; NULL-terminated */
        char **writable;    /* folders, of ReadWritePaths= and LogsDirectory= and the like; NULL-terminated */
        char **environment; /* "NAME=VALUE" of Environment=; NULL-terminated */
        char **files; /* EnvironmentFile=, in their order, "-" in front of what need not be there; NULL-terminated */
};

int hl_unit_run_read(struct hl_bus *bus, const char *unit, struct hl_unit_run *ret_run, struct hl_err *err);

void hl_unit_run_free(struct hl_unit_run *run);

#endif
