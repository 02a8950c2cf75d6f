/* SPDX-License-Identifier: MIT */
#include "command_words.h"

#include "base/mem.h"
#include "base/str.h"
#include "command.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_word(const char *word, const char *const *words)
{
        for (; *words; words++)
                if (strcmp(word, *words) == 0)
                        return true;
        return false;
}

bool hl_command_is_builtin(const char *word)
{
        static const char *const builtins[] = {
                ".",       ":",       "[",       "alias",    "bg",      "bind",     "break",     "builtin",  "caller",
                "cd",      "command", "compgen", "complete", "compopt", "continue", "declare",   "dirs",     "disown",
                "echo",    "enable",  "eval",    "exec",     "exit",    "export",   "false",     "fc",       "fg",
                "getopts", "hash",    "help",    "history",  "jobs",    "kill",     "let",       "local",    "logout",
                "mapfile", "popd",    "printf",  "pushd",    "pwd",     "read",     "readarray", "readonly", "return",
                "set",     "shift",   "shopt",   "source",   "suspend", "test",     "times",     "trap",     "true",
                "type",    "typeset", "ulimit",  "umask",    "unalias", "unset",    "wait",      NULL,
        };
        return is_word(word, builtins);
}

bool hl_command_prepares(const char *word)
{
        static const char *const words[] = { ".",   "cd",    "eval",   "export", "mkdir", "module", "pushd",
                                             "set", "shopt", "source", "ulimit", "umask", "unset",  NULL };
        return is_word(word, words);
}

bool hl_command_ends(const char *word)
{
        static const char *const words[] = { "git", "nvidia-smi", "pip", "pip3", "rm", "sleep", NULL };
        static const char *const others[] = { "builtin", "command", "exec", "printf",
                                              NULL }; /* another program follows */
        return is_word(word, words) || (hl_command_is_builtin(word) && !is_word(word, others));
}

unsigned hl_command_wants(const char *word)
{
        static const char *const words[] = { "git", "rm", "sleep", NULL };
        static const char *const installers[] = { "pip", "pip3", NULL };
        return is_word(word, installers) ? 2 : is_word(word, words) ? 1 : 0;
}

bool hl_command_asks(const char *word)
{
        static const char *const words[] = { "[", "command", "hash", "test", "type", "which", NULL };
        return is_word(word, words);
}

bool hl_command_is_manager(const char *word)
{
        static const char *const words[] = { "conda", "mamba", "micromamba", "nvm", NULL };
        return is_word(word, words);
}

bool hl_command_is_change(const char *word)
{
        static const char *const words[] = { "activate", "deactivate", "use", NULL };
        return is_word(word, words);
}

bool hl_command_is_brief(const char *word)
{
        static const char *const words[] = { ":", "disown", "echo", "exit", "jobs", "printf", "true", NULL };
        return is_word(word, words);
}

bool hl_command_is_keyword(const char *word)
{
        static const char *const words[] = { "!",    "[[",    "case",  "do",       "done", "elif",   "else",
                                             "esac", "fi",    "for",   "function", "if",   "select", "then",
                                             "time", "until", "while", "{",        "}",    "coproc", NULL };
        return is_word(word, words);
}

bool hl_command_is_assignment(const char *word)
{
        size_t len = 0;
        while (isalnum((unsigned char)word[len]) || word[len] == '_')
                len++;
        return len > 0 && !isdigit((unsigned char)*word) &&
               (word[len] == '=' || (word[len] == '+' && word[len + 1] == '='));
}

bool hl_command_is_given(const char *variable)
{
        static const char names[] = "BASH,BASHPID,BASH_VERSION,EPOCHSECONDS,EUID,HOSTNAME,HOSTTYPE,IFS,LINENO,MACHTYPE,"
                                    "OSTYPE,PPID,PWD,RANDOM,SECONDS,SHELL,SHLVL,SRANDOM,TERM,UID," /* bash(1) */
                                    "INVOCATION_ID,JOURNAL_STREAM,LANG,LOGNAME,STATE_DIRECTORY,SYSTEMD_EXEC_PID,USER";
        return hl_in_list(names, variable, strlen(variable));
}

bool hl_command_is_foreign_variable(const char *at)
{
        size_t word = at[1] == '{' ? strspn(at + 2, "abcdefghijklmnopqrstuvwxyz") : 0;
        if (*at == '$' && at[1] == '{' && (at[2] == '{' || (word > 0 && at[2 + word] == '.')))
                return true;
        size_t len = at[1] == '(' || at[1] == '$' ? strspn(at + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") : 0;
        return (hl_has_prefix(at, "$env:") && isalpha((unsigned char)at[5])) ||
               (*at == '$' && len > 0 && (at[1] == '$' || at[2 + len] == ')'));
}

bool hl_command_is_entity(const char *at)
{
        static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&nbsp;" };
        if (hl_has_prefix(at, "&#") && (isdigit((unsigned char)at[2]) || at[2] == 'x'))
                return true;
        for (size_t i = 0; i < HL_COUNT(entities); i++)
                if (hl_has_prefix(at, entities[i]))
                        return true;
        return false;
}

const char *hl_command_wrapping(const char *text)
{
        text += strspn(text, " \t\r\n");
        size_t word = strcspn(text, " \t\r\n"), len = strlen(text);
        while (len > 0 && strchr(" \t\r\n", text[len - 1]))
                len--;
        const char *end = *text == '`' ? strchr(text + 1, '`') : NULL;
        if (hl_has_prefix(text, "```") || (end && (size_t)(end + 1 - text) == len))
                return "Markdown's backquotes around it";
        if (word > 0 && text[word] && strchr("$#%", text[word - 1]) &&
            (word == 1 ? *text != '#' : *text != '/' && memchr(text, '@', word) && !memchr(text, '=', word)))
                return "a shell's prompt in front of it";
        return NULL;
}

bool hl_command_is_list(const char *text)
{
        static const char blanks[] = " \t\r\n";
        text += strspn(text, blanks);
        if (*text != '[')
                return false;
        const char *first = text + 1 + strspn(text + 1, blanks);
        size_t len = strlen(text);
        while (strchr(blanks, text[len - 1]))
                len--;
        /* [ "$HOME" ] && … is a shell's question. */
        return *first && strchr("\"'", *first) && (first == text + 1 || text[len - 1] == ']');
}

void hl_command_free(struct hl_command *command)
{
        for (size_t i = 0; i < command->count; i++)
                free(command->words[i].text);
        free(command->words);
        free(command->script);
        *command = (struct hl_command){ 0 };
}

const struct hl_word *hl_command_program(const struct hl_command *command, unsigned number)
{
        for (size_t i = 0; i < command->count; i++) {
                const struct hl_word *word = &command->words[i];
                if (word->command == number && !word->is_assignment && !word->is_target)
                        return word;
        }
        return NULL;
}
