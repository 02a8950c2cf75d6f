/* SPDX-License-Identifier: MIT */
/* model-command - what model@.service runs: makes a shell run COMMAND, so that the program takes the shell's place.
 *
 * With --check it only looks whether that can work. What it finds is one line of the model's journal, and exit status
 * 78. */
#include "base/err.h"
#include "base/mem.h"
#include "base/version.h"
#include "config/command.h"
#include "config/command_place.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

static const char *variable(void *data, const char *name)
{
        (void)data;
        return getenv(name);
}

/* Of landlock(7); a header of Linux 6.12 has it. */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
struct ruleset {
        uint64_t handled_access_fs, handled_access_net, scoped;
};

/* From here on, this process and those that it makes can signal none but each other: models share a user, and so could
 * end each other. Before Linux 6.12 nothing comes of it; nor where a drop-in allows new privileges. */
static void stay_apart(void)
{
        const struct ruleset rules = { .scoped = SCOPE_SIGNAL };
        HL_CLEANUP(hl_close_fd) int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
        if (fd >= 0)
                syscall(SYS_landlock_restrict_self, fd, 0);
}

static int check(const struct hl_command *command, const char *file, struct hl_err *err)
{
        const char *slash = strrchr(file, '/');
        HL_CLEANUP(hl_free_pointer) char *unit = hl_format("model@%s.service", slash ? slash + 1 : file);
        const struct hl_command_place place = { .variable = variable,
                                                .unit = unit,
                                                .no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 };
        return hl_command_judge(command, &place, err);
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        bool only_check = argc == 3 && strcmp(argv[1], "--check") == 0;
        if (argc != 2 && !only_check) {
                fputs("Usage: model-command [--check] MODEL_FILE, with COMMAND in the environment, as model@.service "
                      "has it\n",
                      stderr);
                return EX_USAGE;
        }
        const char *text = getenv("COMMAND"), *file = argv[argc - 1];
        struct hl_command command = { 0 };
        struct hl_err err = { 0 };
        int r = hl_command_read(text ? text : "", variable, NULL, &command, &err);
        if (r == 0 && only_check)
                r = check(&command, file, &err);
        if (r == 0 && !only_check) {
                stay_apart();
                /* -p: what BASH_ENV, or functions in the environment, would do is not in COMMAND. +B: {"a": 1, "b": 2}
                 * are no alternatives, but JSON. */
                execl(HL_COMMAND_SHELL, "bash", "-p", "+B", "-c", command.script, "COMMAND", (char *)NULL);
                r = hl_fail(&err, HL_ERR_INTERNAL, errno, "command_failed", "%s: %s", HL_COMMAND_SHELL,
                            strerror(errno));
        }
        hl_command_free(&command);
        if (r == 0)
                return EX_OK;
        fprintf(stderr, "<3>%s: %s\n", file, err.message); /* sd-daemon(3): an error */
        return EX_CONFIG;
}
