/* SPDX-License-Identifier: MIT */
#include "command.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "command_words.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define OPERATORS ";&|<>()"

struct reading {
        const char *next;
        hl_command_variable_fn *variable;
        void *data;
        struct hl_buf script, word;
        struct hl_word now;      /* the word that is being read */
        bool in_word, is_quoted; /* a part of it was quoted */
        bool wants_target;       /* behind a redirection */
        bool wants_input;        /* behind one that reads */
        size_t command_at;       /* the first word of the last command, in script */
        size_t program_at;       /* of the last command, in script */
        size_t manager;          /* the word behind conda or the like; 0: none */
        bool has_words, has_program, is_piped, prepares, ends;
        size_t indent,
                command_indent;    /* blanks at the begin of this line, and of that on which the last command began */
        bool is_conditional;       /* behind a question, or ||, of its own line */
        bool is_background;        /* a command was followed by &, and none that stays has come since */
        bool is_left;              /* not by &, but by what came behind */
        size_t last_at;            /* of the last command that has a program */
        bool last_may_be_replaced; /* that one may take the shell's place */
        bool has_trap;             /* for the shell's own end */
        struct hl_command command;
        struct hl_err *err;
};

static int refuse(struct reading *r, const char *sentence, const char *detail)
{
        return hl_fail(r->err, HL_ERR_INVALID, EINVAL, "command_invalid", "COMMAND %s%s", sentence, detail);
}

static void add_both(struct reading *r, char c)
{
        hl_buf_add(&r->script, &c, 1);
        hl_buf_add(&r->word, &c, 1);
}

static void copy(struct reading *r, size_t len)
{
        hl_buf_add(&r->script, r->next, len);
        r->next += len;
}

static void begin_word(struct reading *r)
{
        if (r->in_word)
                return;
        r->in_word = true;
        r->is_quoted = false;
        r->now = (struct hl_word){ .is_known = true, .command = r->command.commands };
        r->now.is_target = r->wants_target;
        r->now.is_input = r->wants_target && r->wants_input;
        if (!r->has_words) {
                r->command_at = r->script.len;
                r->command_indent = r->indent;
        }
        if (!r->has_program)
                r->program_at = r->script.len;
}

static void end_word(struct reading *r)
{
        if (!r->in_word)
                return;
        r->in_word = r->wants_target = false;
        r->now.text = hl_strdup(r->word.data ? r->word.data : "");
        hl_buf_free(&r->word);
        bool is_first = !r->now.is_target && !r->has_program;
        r->now.is_assignment = is_first && hl_command_is_assignment(r->now.text);
        if (is_first && !r->now.is_assignment) {
                r->has_program = true;
                r->is_background = r->is_left = r->is_background && hl_command_is_brief(r->now.text);
                r->last_at = r->program_at;
                bool plain = !r->is_quoted && r->now.is_known;
                r->command.is_program |= plain && hl_command_is_keyword(r->now.text);
                r->prepares = plain && hl_command_prepares(r->now.text);
                r->ends = plain && hl_command_ends(r->now.text);
                r->has_trap |= plain && strcmp(r->now.text, "trap") == 0;
                r->manager = plain && hl_command_is_manager(r->now.text) ? r->command.count + 1 : 0;
                r->last_may_be_replaced = !r->is_piped && !(plain && hl_command_is_builtin(r->now.text));
        } else if (r->manager > 0 && r->manager == r->command.count) {
                r->prepares = hl_command_is_change(r->now.text);
        }
        r->has_words = true;
        r->command.words = hl_grow(r->command.words, r->command.count + 1, sizeof(*r->command.words));
        r->command.words[r->command.count++] = r->now;
}

static void end_command(struct reading *r)
{
        if (r->has_words)
                r->command.commands++;
        r->has_words = r->has_program = r->prepares = r->ends = false;
}

/* The length of $( … ), ${ … } or ` … `, whatever is in it; 0: it does not end. */
static size_t length_of_nested(const char *text)
{
        size_t i = *text == '$' ? 2 : 1, depth = 1;
        char open = *text == '$' ? text[1] : '\0', close = open == '(' ? ')' : open == '{' ? '}' : '`', quote = '\0';
        for (; text[i]; i++) {
                if (text[i] == '\\' && quote != '\'' && text[i + 1])
                        i++;
                else if (quote)
                        quote = text[i] == quote ? '\0' : quote;
                else if (text[i] == '\'' || text[i] == '"')
                        quote = text[i];
                else if (text[i] == close && --depth == 0)
                        return i + 1;
                else if (open && text[i] == open)
                        depth++;
        }
        return 0;
}

static void expand(struct reading *r, const char *name, size_t len, bool is_quoted)
{
        HL_CLEANUP(hl_free_pointer) char *variable = hl_strndup(name, len);
        const char *value = r->variable ? r->variable(r->data, variable) : NULL;
        if (value) {
                hl_buf_adds(&r->word, value);
                if (!is_quoted && strpbrk(value, " \t\n*?[")) /* it becomes several words */
                        r->now.is_known = false;
                return;
        }
        r->now.is_known = false;
        if (!*r->command.unset && r->variable && len < sizeof(r->command.unset) && !hl_command_is_given(variable))
                memcpy(r->command.unset, variable, len + 1);
}

/* At a $ or `. */
static int take_expansion(struct reading *r, bool is_quoted)
{
        const char *at = r->next;
        size_t len = 0;
        if (hl_command_is_foreign_variable(at)) {
                return refuse(r,
                              "has a variable as make, Compose, PowerShell or llama-swap write it, and a shell does "
                              "not: write $PORT: ",
                              at);
        } else if (*at == '$' && (isalpha((unsigned char)at[1]) || at[1] == '_')) {
                for (len = 2; isalnum((unsigned char)at[len]) || at[len] == '_'; len++)
                        ;
                expand(r, at + 1, len - 1, is_quoted);
        } else if (*at == '`' || at[1] == '(' || at[1] == '{') {
                len = length_of_nested(at);
                if (len == 0)
                        return refuse(r, "is not what a shell can read: what begins at this place does not end: ", at);
                size_t name = 0;
                while (at[1] == '{' && (isalnum((unsigned char)at[2 + name]) || at[2 + name] == '_'))
                        name++;
                if (name > 0 && at[2 + name] == '}')
                        expand(r, at + 2, name, is_quoted);
                else
                        r->now.is_known = false;
        } else {
                len = 1;
                hl_buf_add(&r->word, "$", 1);
                if (at[1] && strchr("?!#@*$-0123456789", at[1]))
                        r->now.is_known = false;
        }
        copy(r, len);
        return 0;
}

static int take_quoted(struct reading *r)
{
        char quote = *r->next;
        const char *start = r->next;
        r->is_quoted = true;
        copy(r, 1);
        while (*r->next && *r->next != quote) {
                int result = 0;
                if (quote == '"' && *r->next == '\\' && r->next[1]) {
                        if (!strchr("\"\\`$\n", r->next[1]))
                                hl_buf_add(&r->word, r->next, 1);
                        copy(r, 1);
                        add_both(r, *r->next++);
                } else if (quote == '"' && (*r->next == '$' || *r->next == '`')) {
                        result = take_expansion(r, true);
                } else if (*r->next == '\r' && r->next[1] == '\n') { /* Windows' line ends */
                        r->next++;
                } else {
                        add_both(r, *r->next++);
                }
                if (result < 0)
                        return result;
        }
        if (!*r->next)
                return refuse(r, "is not what a shell can read: a quote is not closed: ", start);
        copy(r, 1);
        return 0;
}

static void insert(struct reading *r, size_t at, const char *text)
{
        struct hl_buf with = { 0 };
        hl_buf_add(&with, r->script.data, at);
        hl_buf_adds(&with, text);
        hl_buf_add(&with, r->script.data + at, r->script.len - at);
        hl_buf_free(&r->script);
        r->script = with;
}

/* The first word of the last command, where all that it has are variables, which are for the lines below; or NULL. */
static const struct hl_word *only_assigns(const struct reading *r)
{
        const struct hl_word *words = r->command.words;
        size_t i = r->command.count;
        while (i > 0 && words[i - 1].command == r->command.commands && words[i - 1].is_assignment)
                i--;
        return r->has_words && (i == 0 || words[i - 1].command != r->command.commands) ? &words[i] : NULL;
}

/* "{ A=1 B=$A; export A B; }": one command still, behind && as well. */
static void export_them(struct reading *r, const struct hl_word *first)
{
        insert(r, r->command_at, "{ ");
        hl_buf_adds(&r->script, "; export");
        for (const struct hl_word *word = first; word < r->command.words + r->command.count; word++)
                hl_buf_addf(&r->script, " %.*s", (int)strcspn(word->text, "+="), word->text);
        hl_buf_adds(&r->script, "; }");
}

static bool is_after_line(const char *text, const char *what)
{
        size_t len = strlen(what);
        return strncmp(text, what, len) == 0 && (text[len] == ' ' || text[len] == '\t');
}

/* "exec >log": for all that follows. */
static bool only_redirects(const struct reading *r)
{
        const struct hl_word *program = hl_command_program(&r->command, r->command.commands);
        if (!program || strcmp(program->text, "exec") != 0)
                return false;
        const struct hl_word *last = &r->command.words[r->command.count - 1];
        if (last == program)
                return false;
        while (last > program && last->is_target)
                last--;
        return last == program;
}

/* Whether the last command is whole: "pip install -q" is not, and waits for a name. */
static bool is_whole(const struct reading *r)
{
        const struct hl_word *program = hl_command_program(&r->command, r->command.commands);
        unsigned left = hl_command_wants(program->text);
        for (size_t i = (size_t)(program - r->command.words) + 1; i < r->command.count && left > 0; i++)
                left -= *r->command.words[i].text != '-' && !r->command.words[i].is_target;
        return left == 0;
}

/* What a line break is, behind what stands in front of it; " ": more of the same. What stands deeper is that, where a
 * command could have ended. */
static const char *line_break(const struct reading *r, const char *next, size_t indent)
{
        if (r->command.is_program)
                return "\n";
        if (!*next || strchr("&|;)#", *next))
                return " ";
        if (r->prepares || only_assigns(r))
                return r->is_conditional ? "; " : " && ";
        if (only_redirects(r))
                return "; ";
        const char *number_end = next + strspn(next, "0123456789"), *word_end = next + strcspn(next, " \t\r\n");
        const char *scheme = strstr(next, "://");
        bool goes_on = strchr("-<>", *next) || *number_end == '>' || number_end == word_end ||
                       (scheme && scheme < word_end) || indent > r->command_indent;
        return r->ends && !goes_on && is_whole(r) ? "; " : " ";
}

/* At a line break outside of quotes. */
static int take_line_break(struct reading *r)
{
        end_word(r);
        const char *rest = r->next, *line = rest;
        for (; *rest && isspace((unsigned char)*rest); rest++)
                line = *rest == '\n' ? rest + 1 : line;
        r->indent = (size_t)(rest - line);
        const char *as = line_break(r, rest, r->indent);
        bool goes_on = strcmp(as, " ") == 0;
        const struct hl_word *program = hl_command_program(&r->command, r->command.commands);
        const char *last = r->command.count > 0 ? r->command.words[r->command.count - 1].text : "";
        bool may_be_another = program && *last != '-'; /* or it is an option's */
        const char *const commands[] = { "exec", "cd", "source", "export", ".", may_be_another ? program->text : "" };
        for (size_t i = 0; r->has_program && goes_on && i < HL_COUNT(commands); i++)
                if (*commands[i] && is_after_line(rest, commands[i]))
                        return refuse(r,
                                      "has a line that would be an argument of the line before: put && between "
                                      "commands: ",
                                      rest);
        if (!goes_on && !r->command.is_program) {
                const struct hl_word *variables = only_assigns(r);
                if (variables)
                        export_them(r, variables);
                end_command(r);
                r->is_piped = r->is_conditional = false;
        }
        hl_buf_adds(&r->script, as);
        r->next = *rest == '#' || !*rest ? rest : r->next + 1;
        return 0;
}

/* What a shell takes for its own, in the middle of a word: an address with ?a=1&b=2, a pattern such as blk.(0|1). */
static int check_word(struct reading *r)
{
        const char *word = r->word.data;
        char c = *r->next, next = r->next[1];
        if (!r->in_word || r->word.len == 0)
                return 0;
        bool ends = c == '&' && !r->command.is_program && next && !strchr(" \t\r\n" OPERATORS, next);
        bool opens = c == '(' && r->has_program && !r->command.is_program && word[r->word.len - 1] != '=';
        if (!ends && !opens)
                return 0;
        HL_CLEANUP(hl_free_pointer) char *where = hl_format("%s%s", word, r->next);
        return refuse(r,
                      ends ? "has a & in a word, and a shell ends the command there: put quotes around the word: "
                           : "has a ( in a word, which a shell does not take: put quotes around the word: ",
                      where);
}

static void take_operator(struct reading *r)
{
        bool redirects = *r->next == '<' || *r->next == '>' || (*r->next == '&' && r->next[1] == '>');
        if (redirects) { /* "2>" has a number that is no word of the program's */
                if (r->in_word && strspn(r->word.data ? r->word.data : "x", "0123456789") == r->word.len) {
                        r->in_word = false;
                        hl_buf_free(&r->word);
                }
                end_word(r);
                copy(r, *r->next == '&');
                size_t arrows = strspn(r->next, "<>");
                r->wants_input = *r->next == '<';
                r->command.is_program |= arrows == 2 && *r->next == '<'; /* lines that are a program's input */
                copy(r, arrows);
                copy(r, *r->next == '&' || *r->next == '|');
                r->command.is_program |= *r->next == '('; /* a process as a file */
                r->wants_target = true;
                return;
        }
        end_word(r);
        size_t len = r->next[1] == r->next[0] ? 2 : r->next[0] == '|' && r->next[1] == '&' ? 2 : 1;
        bool pipes = *r->next == '|' && r->next[1] != '|';
        r->command.is_program |= *r->next == '(' || *r->next == ')' || (*r->next == ';' && len == 2);
        if (r->has_words && *r->next == '&' && len == 1) {
                r->is_background = true;
                r->is_left = false;
        }
        if (pipes)
                r->last_may_be_replaced = false;
        r->is_piped = pipes;
        if (!pipes) {
                const struct hl_word *program = hl_command_program(&r->command, r->command.commands);
                bool asks = r->is_conditional || *r->next == '|' || (program && hl_command_asks(program->text));
                r->is_conditional = len == 2 && *r->next != ';' && asks;
        }
        copy(r, len);
        end_command(r);
}

/* What word processors, web pages and keyboards of other scripts make of quotes, dashes and spaces, some without a
 * width; a shell takes them for letters. Dashes and the quotes of some languages are letters within a word. */
static bool is_typographic(const char *text, bool begins)
{
        static const char *const marks[] = { "\xC2\xA0",     "\xC2\xAD",     "\xE2\x81\x9F",
                                             "\xE2\x81\xA0", "\xE3\x80\x80", "\xEF\xBB\xBF" };
        static const char *const firsts[] = { "\xC2\xAB",     "\xC2\xBB",     "\xE2\x88\x92", "\xEF\xB9\x98",
                                              "\xEF\xB9\xA3", "\xEF\xBC\x82", "\xEF\xBC\x87", "\xEF\xBC\x8D" };
        for (size_t i = 0; i < HL_COUNT(marks); i++)
                if (hl_has_prefix(text, marks[i]))
                        return true;
        for (size_t i = 0; begins && i < HL_COUNT(firsts); i++)
                if (hl_has_prefix(text, firsts[i]))
                        return true;
        if (!hl_has_prefix(text, "\xE2\x80"))
                return false;
        unsigned char c = (unsigned char)text[2]; /* of U+2000 to U+203F */
        bool is_space = (c >= 0x80 && c <= 0x8B) || c == 0x8E || c == 0x8F ||
                        (c >= 0xA8 && c <= 0xAF); /* and marks of direction */
        return is_space || (c >= 0x98 && c <= 0x9F) || (begins && c >= 0x90 && c <= 0x95);
}

static int check_typography(struct reading *r)
{
        bool begins = !r->in_word || (r->word.len == 1 && *r->word.data == '-');
        if (!is_typographic(r->next, begins))
                return 0;
        return refuse(r, "has a typographic quote, dash or space, as web pages have them: type it anew: ", r->next);
}

/* {"key": …} or ["text", …] as it is in a document: a shell takes the quotes off, and makes words of it. */
static bool is_json(const char *text)
{
        static const char blanks[] = " \t\n";
        const char *first = strchr("{[", *text) && *text ? text + 1 + strspn(text + 1, blanks) : "";
        const char *end = *first == '"' ? strchr(first + 1, '"') : NULL;
        const char *behind = end ? end + 1 + strspn(end + 1, blanks) : "";
        bool is_question = first != text + 1; /* [ "$x" ] */
        return *text == '{' ? *behind == ':'
                            : *behind == ',' || (*behind == ']' && !is_question && strchr(" \t\r\n", behind[1]));
}

static int take_plain(struct reading *r)
{
        int result = check_typography(r);
        if (result < 0)
                return result;
        bool is_start = !r->in_word;
        if (r->has_program && !r->command.is_program && is_json(r->next) &&
            (r->word.len == 0 || r->word.data[r->word.len - 1] == '='))
                return refuse(
                        r, "has JSON without quotes, and a shell takes those in it away: put '…' around it: ", r->next);
        begin_word(r);
        const char *home;
        if (is_start && *r->next == '~' && strchr("/ \t\r\n" OPERATORS, r->next[1])) {
                copy(r, 1);
                home = r->variable ? r->variable(r->data, "HOME") : NULL;
                r->now.is_known = home != NULL;
                hl_buf_adds(&r->word, home ? home : "~");
        } else if (*r->next == '\\' && r->next[1]) {
                copy(r, 1);
                add_both(r, *r->next++);
        } else {
                r->now.is_known &= !(is_start && *r->next == '~');
                r->now.is_pattern |= strchr("*?[", *r->next) != NULL;
                add_both(r, *r->next++);
        }
        return 0;
}

/* The length of a backslash that joins two lines, also one with blanks, a CR or a comment behind it, or with no line
 * below; 0: it is none. */
static size_t length_of_join(const char *text)
{
        size_t len = *text == '\\' ? strspn(text + 1, " \t\r") : 0;
        if (len > 0 && text[1 + len] == '#')
                len += strcspn(text + 1 + len, "\n");
        if (*text == '\\' && !text[1])
                return 1;
        return *text == '\\' && text[1 + len] == '\n' ? len + 2 : 0;
}

/* At a line's last word: ^ or `, by which lines go on in Windows' shells. */
static bool is_foreign_join(const char *text)
{
        return (*text == '^' || *text == '`') && text[1 + strspn(text + 1, " \t\r")] == '\n';
}

static int take_piece(struct reading *r)
{
        char c = *r->next;
        size_t join = length_of_join(r->next);
        if (join > 0) {
                hl_buf_adds(&r->script, join > 2 ? " " : "");
                r->next += join;
                if (join > 2)
                        end_word(r);
                return 0;
        }
        if (!r->command.is_program && !r->in_word && is_foreign_join(r->next))
                return refuse(
                        r, "has a line that ends as in a shell of Windows': leave that away, or write \\: ", r->next);
        if (!r->command.is_program && hl_command_is_entity(r->next))
                return refuse(r, "has what the source of a web page has: write the character itself: ", r->next);
        if (c == '\n')
                return take_line_break(r);
        if (c == ' ' || c == '\t' || c == '\r') {
                end_word(r);
                r->next++;
                hl_buf_adds(&r->script, c == '\r' ? "" : " ");
                return 0;
        }
        if (c == '#' && !r->in_word) {
                r->next += strcspn(r->next, "\n");
                return 0;
        }
        if (strchr(OPERATORS, c)) {
                int result = check_word(r);
                if (result == 0)
                        take_operator(r);
                return result;
        }
        if (c == '\'' || c == '"') {
                begin_word(r);
                return take_quoted(r);
        }
        if (c == '$' && r->next[1] == '\'') { /* with escapes of its own */
                begin_word(r);
                r->now.is_known = false;
                copy(r, 1);
                return take_quoted(r);
        }
        if (c == '$' || c == '`') {
                begin_word(r);
                return take_expansion(r, false);
        }
        return take_plain(r);
}

int hl_command_read(const char *text, hl_command_variable_fn *variable, void *data, struct hl_command *ret_command,
                    struct hl_err *err)
{
        struct reading r = { .next = text, .variable = variable, .data = data, .err = err };
        int result = 0;
        bool any = false;
        hl_buf_adds(&r.script, "");
        const char *wrapping = hl_command_wrapping(text);
        if (wrapping) {
                HL_CLEANUP(hl_free_pointer) char *sentence = hl_format("has %s: remove that: ", wrapping);
                result = refuse(&r, sentence, text);
        } else if (hl_command_is_list(text))
                result = refuse(&r, "is a list: write it as in a shell, \"llama-server --port $PORT\", not ", text);
        while (result == 0 && *r.next)
                result = take_piece(&r);
        end_word(&r);
        end_command(&r);
        for (size_t i = 0; i < r.command.count; i++)
                any |= !r.command.words[i].is_assignment && !r.command.words[i].is_target;
        if (result == 0 && r.command.count == 0)
                result = refuse(&r, "is missing, so there is nothing to run", "");
        else if (result == 0 && !any)
                result = refuse(&r, "only sets variables: write the program behind them", "");
        else if (result == 0 && r.is_background && !r.command.is_program)
                result = refuse(&r,
                                r.is_left ? "has a &, and nothing behind it that stays, so its unit ends: a model "
                                            "runs in the foreground, remove the & and what follows it"
                                          : "ends with &, and its unit with it: a model runs in the foreground, remove "
                                            "the &",
                                "");
        if (result == 0 && !r.command.is_program && r.last_may_be_replaced && !r.has_trap)
                insert(&r, r.last_at, "exec "); /* so that the program's process is the unit's */
        if (r.command.is_program)
                r.command.commands = 0;
        r.command.script = hl_strdup(r.script.data ? r.script.data : "");
        hl_buf_free(&r.script);
        hl_buf_free(&r.word);
        if (result == 0)
                *ret_command = r.command;
        else
                hl_command_free(&r.command);
        return result;
}
