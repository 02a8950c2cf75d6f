/* SPDX-License-Identifier: MIT */
/* command.h - COMMAND of a model file: a program and its arguments, as people type them at a shell's prompt.
 *
 * Shape    makes of the text what a shell is to run, so that the program takes the shell's place and its process is the
 *          unit's own; and tells the words, for those who want to know what will run and which files it names. Line
 *          breaks are spaces; behind what only prepares (cd, source, export, …) an "&&", or a ";" where something was
 *          asked first; and a ";" behind what ends by itself (pip, sleep, bash's own words). Variables on a line of
 *          their own are for all lines below. Lines that begin with # are comments. Quotes, "~", variables, pipelines,
 *          "&&" and variables in front of the program are the shell's own business. What a shell's keywords put
 *          together is left as it is.
 * Errors   -EINVAL/INVALID: it cannot run, or would not stay: the sentence begins with "COMMAND" and says what to
 *          write.
 * Owner    hl_command_free().
 * Process  pure functions.
 * Source   bash(1), "Shell Grammar" and "Quoting".
 * Tests    tests/unit/config/test_command.c, tests/system/test_command.py
 */
#ifndef HL_CONFIG_COMMAND_H
#define HL_CONFIG_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct hl_err;

struct hl_word {
        char *text;         /* what the program is given, as far as that can be known */
        unsigned command;   /* which of the commands it belongs to, from 0 */
        bool is_known;      /* the text is all of it: no command substitution, no variable that is not set */
        bool is_pattern;    /* a shell looks for files that match it */
        bool is_assignment; /* NAME=VALUE in front of a program */
        bool is_target;     /* of a redirection: no argument */
        bool is_input;      /* of one that reads */
};

struct hl_command {
        char *script; /* for bash -c */
        struct hl_word *words;
        size_t count;
        unsigned commands; /* 0 where it is_program */
        bool is_program;   /* made of a shell's keywords: only a shell knows what it does */
        char unset[64];    /* the first variable that it uses and nobody sets, or "" */
};

/* The value of a variable, or NULL. */
typedef const char *hl_command_variable_fn(void *data, const char *name);

int hl_command_read(const char *text, hl_command_variable_fn *variable, void *data, struct hl_command *ret_command,
                    struct hl_err *err);
void hl_command_free(struct hl_command *command);

/* The word that names the program of a command, or NULL. */
const struct hl_word *hl_command_program(const struct hl_command *command, unsigned number);

#endif
