/* SPDX-License-Identifier: MIT */
/* command_words.h - the words that a shell takes for more than the name of a program.
 *
 * Process  pure functions.
 * Source   bash(1), "Reserved words" and "Shell builtin commands".
 * Tests    tests/unit/config/test_command.c
 */
#ifndef HL_CONFIG_COMMAND_WORDS_H
#define HL_CONFIG_COMMAND_WORDS_H

#include <stdbool.h>

/* A shell does it itself: "cd". */
bool hl_command_is_builtin(const char *word);

/* A shell is done with it at once, whatever it has in the background: "echo". */
bool hl_command_is_brief(const char *word);

/* It puts commands together: "if". */
bool hl_command_is_keyword(const char *word);

/* It only makes things ready for what follows, and takes no options on lines of their own: "cd", "export". */
bool hl_command_prepares(const char *word);

/* It comes to an end by itself, so that another command may stand on the next line: "pip". */
bool hl_command_ends(const char *word);

/* It has environments, and with such a word behind it, it only prepares: "conda", "activate". */
bool hl_command_is_manager(const char *word);
bool hl_command_is_change(const char *word);

/* How many words that are no options it needs to be whole: "pip install NAME". */
unsigned hl_command_wants(const char *word);

/* It asks something, and what stands behind && depends on that: "test". */
bool hl_command_asks(const char *word);

/* NAME=… or NAME+=… */
bool hl_command_is_assignment(const char *word);

/* A variable that bash or systemd sets, for every command: "PWD", "USER". */
bool hl_command_is_given(const char *variable);

/* $(PORT), $$PORT, ${env.PORT}, ${{ PORT }} and $env:PORT, as make, Compose and others have them: a shell would run a
 * program, say its own number, or end. */
bool hl_command_is_foreign_variable(const char *at);

/* &amp; and others, as the source of a web page has them. */
bool hl_command_is_entity(const char *at);

/* What was copied with the command, and is none of it, as an adjective behind "has": a prompt's "$ ", Markdown's ```.
 * NULL: nothing. */
const char *hl_command_wrapping(const char *text);

/* ["llama-server", "--port", "8198"], as a container's file has a command. */
bool hl_command_is_list(const char *text);

#endif
