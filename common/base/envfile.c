/* SPDX-License-Identifier: MIT */
#include "envfile.h"

#include "buf.h"
#include "mem.h"
#include "str.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 80 /* bytes of the file that a finding repeats */

/* systemd's words for these; isspace() knows more. */
#define BLANK " \t"
#define NEWLINE "\n\r"
#define COMMENT "#;"
#define ESCAPED_IN_QUOTES "\"\\`$"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

struct reading {
        const struct hl_envfile *file;
        const char *next, *end;
        unsigned line;
        const struct hl_report *report;
};

/* One value, and what was odd on the way to it. */
struct value {
        struct hl_buf text;
        bool is_open;         /* its quote is not closed */
        bool goes_on;         /* more follows behind its closing quote than a word */
        bool lost_backslash;  /* one outside of quotes, and it joined no lines */
        bool cut_by_return;   /* a backslash joins no lines that end with CR LF */
        bool joins_comment;   /* a backslash joins a line that is meant as a comment */
        bool has_comment;     /* what looks like one, behind a blank */
        unsigned closed_line; /* where the quote that text follows was closed */
};

static bool is_one_of(int b, const char *set)
{
        return b > 0 && strchr(set, b) != NULL;
}

static int look(const struct reading *r)
{
        return r->next == r->end ? -1 : (unsigned char)*r->next;
}

static int take(struct reading *r)
{
        if (r->next == r->end)
                return -1;
        r->line += *r->next == '\n';
        return (unsigned char)*r->next++;
}

static void add(struct value *value, int b)
{
        hl_buf_add(&value->text, &(char){ (char)b }, 1);
}

static void tell(const struct reading *r, unsigned line, const char *key, const char *format, const char *text,
                 size_t len)
{
        if (!r->report)
                return;
        HL_CLEANUP(hl_free_pointer) char *piece = hl_shorten(text, len, SHOWN_MAX);
        const char *hole = strstr(format, "%s");
        HL_CLEANUP(hl_free_pointer)
        char *message = hole ? hl_format("%.*s%s%s", (int)(hole - format), format, piece, hole + 2) : hl_strdup(format);
        hl_report_tell(r->report, r->file->path, line, key, message);
}

/* systemd counts the characters that Unicode keeps for nobody among what is not UTF-8. */
static bool is_utf8(const char *text)
{
        size_t len = strlen(text);
        if (!hl_utf8_valid(text, len))
                return false;
        const unsigned char *c = (const unsigned char *)text;
        for (size_t i = 0; i + 2 < len; i++) {
                bool reserved = c[i] == 0xEF && c[i + 1] == 0xB7 && c[i + 2] >= 0x90 && c[i + 2] <= 0xAF; /* U+FDD0… */
                bool plane_end = c[i] == 0xEF && c[i + 1] == 0xBF && c[i + 2] >= 0xBE; /* U+FFFE… */
                if (c[i] >= 0xF0 && i + 3 < len) /* U+1FFFE, and so on in each plane */
                        plane_end = (c[i + 1] & 0x0F) == 0x0F && c[i + 2] == 0xBF && c[i + 3] >= 0xBE;
                if (reserved || plane_end)
                        return false;
        }
        return true;
}

/* To the end of its line; a backslash keeps it from ending, but not of late. */
static void skip_comment(struct reading *r)
{
        unsigned line = r->line;
        int b;
        while ((b = take(r)) >= 0 && !is_one_of(b, NEWLINE)) {
                if (b != '\\' || look(r) < 0)
                        continue;
                if (!is_one_of(look(r), NEWLINE)) {
                        take(r);
                        continue;
                }
                tell(r, line, "",
                     "the comment ends with a backslash, and systemd before 254 takes the next line into it: remove "
                     "the "
                     "backslash",
                     "", 0);
                bool joins = r->file->systemd && r->file->systemd() < HL_ENVFILE_COMMENTS_END;
                take(r);
                if (!joins)
                        return;
        }
}

/* Whether the line that a backslash has just joined is meant as a comment. */
static bool is_at_comment(const struct reading *r)
{
        const char *c = r->next;
        while (c < r->end && is_one_of((unsigned char)*c, BLANK))
                c++;
        return c < r->end && *c == '#';
}

/* Whether the next line is joined, too. Within quotes it would not be a comment of a shell's otherwise. */
static bool goes_on(const struct reading *r)
{
        const char *end = memchr(r->next, '\n', (size_t)(r->end - r->next));
        return end && end > r->next && end[-1] == '\\';
}

/* Behind the opening quote, up to and with the closing one. Within '…' nothing is special; within "…" a backslash
 * escapes the four characters that need it, and joins lines. */
static void take_quoted(struct reading *r, int quote, struct value *value)
{
        int b;
        while ((b = take(r)) >= 0 && b != quote) {
                if (b != '\\' || quote == '\'') {
                        add(value, b);
                        continue;
                }
                b = take(r);
                if (b < 0)
                        break;
                value->cut_by_return |= b == '\r' && look(r) == '\n';
                value->joins_comment |= b == '\n' && is_at_comment(r) && goes_on(r);
                if (b != '\n' && !is_one_of(b, ESCAPED_IN_QUOTES))
                        add(value, '\\');
                if (b != '\n')
                        add(value, b);
        }
        value->is_open = b < 0;
}

/* Text without quotes, to the end of its line. Quotes are text in here, and a backslash takes the next byte as it
 * is. */
static void take_plain(struct reading *r, struct value *value)
{
        size_t start = value->text.len, keep = start; /* bytes that trailing blanks may not be cut from */
        int b;
        while ((b = take(r)) >= 0 && !is_one_of(b, NEWLINE)) {
                if (b == '\\') {
                        b = take(r);
                        value->cut_by_return |= b == '\r' && look(r) == '\n';
                        value->joins_comment |= b == '\n' && is_at_comment(r);
                        if (b >= 0 && !is_one_of(b, NEWLINE)) {
                                add(value, b);
                                value->lost_backslash |= b != '\\';
                        }
                        keep = value->text.len;
                } else {
                        value->has_comment |= b == '#' && (value->text.len == start || value->text.len > keep) &&
                                              is_one_of(look(r), BLANK);
                        add(value, b);
                        if (!is_one_of(b, BLANK))
                                keep = value->text.len;
                }
        }
        while (value->text.len > keep)
                value->text.data[--value->text.len] = '\0';
        for (size_t i = start; i < value->text.len; i++)
                value->goes_on |= value->closed_line > 0 && is_one_of(value->text.data[i], BLANK "\"'");
}

/* Any number of quoted pieces, of which blanks between them are no part, and then plain text. */
static void take_value(struct reading *r, struct value *value)
{
        for (;;) {
                bool blank = false;
                while (is_one_of(look(r), BLANK)) {
                        take(r);
                        blank = true;
                }
                int b = look(r);
                if (b < 0)
                        return;
                if (is_one_of(b, NEWLINE)) {
                        take(r);
                        return;
                }
                value->goes_on |= value->closed_line > 0 && blank;
                if (b != '"' && b != '\'') {
                        take_plain(r, value);
                        return;
                }
                take(r);
                take_quoted(r, b, value);
                value->closed_line = r->line;
        }
}

static bool is_name(const char *text)
{
        if (!isalpha((unsigned char)*text) && *text != '_')
                return false;
        for (; *text; text++)
                if (!isalnum((unsigned char)*text) && *text != '_')
                        return false;
        return true;
}

static void tell_of_name(const struct reading *r, unsigned line, const char *name)
{
        static const char *const words[] = { "export ", "set ", "setenv ", "declare -x ", "Environment=" };
        for (size_t i = 0; i < HL_COUNT(words); i++) {
                if (!hl_has_prefix(name, words[i]))
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *message = hl_format("expected NAME=VALUE, so \"%%s\" is ignored: write it without \"%.*s\"",
                                          (int)strcspn(words[i], " "), words[i]);
                tell(r, line, "", message, name, strlen(name));
                return;
        }
        if (hl_has_prefix(name, BYTE_ORDER_MARK))
                tell(r, line, "",
                     "begins with a byte order mark, and so systemd ignores this line: remove it with sed -i "
                     "'1s/^\\xEF\\xBB\\xBF//'",
                     "", 0);
        else
                tell(r, line, "",
                     "expected NAME=VALUE, so \"%s\" is ignored: a name is letters, digits and _, and one word", name,
                     strlen(name));
}

static void tell_of_value(const struct reading *r, unsigned line, const char *name, const struct value *value)
{
        const char *text = value->text.data ? value->text.data : "";
        size_t len = value->text.len;
        if (value->is_open)
                tell(r, line, name, "has a quote that is not closed, and is read as \"%s\": close it", text, len);
        else if (value->goes_on && value->closed_line != line)
                tell(r, line, name,
                     "is read as \"%s\": its quote is closed some lines below, and more follows; is one missing here?",
                     text, len);
        else if (value->goes_on)
                tell(r, line, name,
                     "is read as \"%s\", because more follows its closing quote: a comment needs a line of its own, "
                     "and "
                     "quotes inside of \"…\" are written \\\" or '",
                     text, len);
        else if (value->lost_backslash)
                tell(r, line, name,
                     "is read as \"%s\", because a backslash outside of quotes is dropped: put the whole value in '…'",
                     text, len);
        else if (value->has_comment && !value->joins_comment && !hl_in_list(r->file->judged, name, strlen(name)))
                tell(r, line, name,
                     "is read as \"%s\": a comment needs a line of its own, and a value with a # belongs in quotes",
                     text, len);
        if (value->joins_comment)
                tell(r, line, name,
                     "is read as \"%s\", because the line that begins with # is joined to the one before, and is no "
                     "comment of this file: remove that line",
                     text, len);
        if (value->cut_by_return)
                tell(r, line, name,
                     "is read as \"%s\", because a backslash joins no lines with Windows' line ends: remove those with "
                     "sed -i 's/\\r$//'",
                     text, len);
}

/* One assignment, from its first byte on. 0, or -EILSEQ where systemd gives the file up. */
static int take_assignment(struct reading *r, hl_envfile_fn *assign, void *data)
{
        unsigned line = r->line;
        const char *start = r->next;
        take(r); /* whatever it is: a name may begin with = */
        while (look(r) >= 0 && look(r) != '=' && !is_one_of(look(r), NEWLINE))
                take(r);
        size_t name_len = (size_t)(r->next - start);
        while (name_len > 0 && is_one_of(start[name_len - 1], BLANK))
                name_len--;
        if (look(r) != '=' && name_len >= 3 && memcmp(start, BYTE_ORDER_MARK, 3) == 0) {
                tell_of_name(r, line, BYTE_ORDER_MARK);
                return 0;
        }
        if (look(r) != '=') {
                tell(r, line, "", "expected NAME=VALUE, so \"%s\" is ignored: write NAME=\"VALUE\", or # in front",
                     start, name_len);
                return 0;
        }
        take(r);

        HL_CLEANUP(hl_free_pointer) char *name = hl_strndup(start, name_len);
        struct value value = { 0 };
        take_value(r, &value);
        const char *text = value.text.data ? value.text.data : "";
        int result = 0;
        if (!is_utf8(name) || !is_utf8(text)) {
                result = -EILSEQ;
                tell(r, line, is_name(name) ? name : "",
                     "is not UTF-8, and so systemd refuses the whole file: \"%s\": save it as UTF-8", text,
                     value.text.len);
        } else if (!is_name(name)) {
                tell_of_name(r, line, name);
        } else {
                tell_of_value(r, line, name, &value);
        }
        if (is_name(name))
                assign(data, line, name, text);
        hl_buf_free(&value.text);
        return result;
}

int hl_envfile_parse(const struct hl_envfile *file, hl_envfile_fn *assign, void *data, const struct hl_report *report)
{
        struct reading r = {
                .file = file, .next = file->text, .end = file->text + file->len, .line = 1, .report = report
        };
        const char *nul = memchr(file->text, '\0', file->len);
        int result = 0;
        if (nul) {
                while (r.next < nul)
                        take(&r);
                tell(&r, r.line, "",
                     "has a NUL byte, and so systemd refuses the whole file: save it as plain UTF-8 text", "", 0);
                return -EBADMSG;
        }
        while (look(&r) >= 0) {
                int b = look(&r), failed = 0;
                if (is_one_of(b, BLANK NEWLINE))
                        take(&r);
                else if (is_one_of(b, COMMENT))
                        skip_comment(&r);
                else
                        failed = take_assignment(&r, assign, data);
                if (result == 0)
                        result = failed;
        }
        return result;
}
