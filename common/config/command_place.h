/* SPDX-License-Identifier: MIT */
/* command_place.h - can a COMMAND run here, as the user that this process has?
 *
 * Shape    looks at what can be known before anything runs: its syntax, its programs, and habits that a unit cannot
 *          bear, such as going to the background.
 * Process  forks a shell that reads the script and runs nothing of it.
 * Errors   -EINVAL/INVALID or -ENOENT/INVALID: one sentence that says what to write or to do.
 * Tests    tests/unit/config/test_command.c, tests/system/test_command.py
 */
#ifndef HL_CONFIG_COMMAND_PLACE_H
#define HL_CONFIG_COMMAND_PLACE_H

#include "command.h"

#define HL_COMMAND_SHELL "/bin/bash"

struct hl_command_place {
        hl_command_variable_fn *variable; /* of the environment that it gets */
        void *data;
        const char *unit;       /* to be named: "model@x.service" */
        bool no_new_privileges; /* as NoNewPrivileges= makes it: sudo has no use */
};

int hl_command_judge(const struct hl_command *command, const struct hl_command_place *place, struct hl_err *err);

#endif
