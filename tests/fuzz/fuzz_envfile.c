/* SPDX-License-Identifier: MIT */
/* Our reading of a file of variables against another one, which walks the bytes as a table of states says. The table is
 * that of systemd's parser; tests/system/test_envfile.py asks systemd itself. */
#include "base/buf.h"
#include "base/envfile.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the other reading ---- */

enum state { START, NAME, BEFORE, PLAIN, PLAIN_ESCAPE, SINGLE, DOUBLE, DOUBLE_ESCAPE, REMARK, REMARK_ESCAPE, STATES };
enum class { BLANK, END, RETURN, HASH, EQUALS, QUOTE, APOSTROPHE, BACKSLASH, SPECIAL, OTHER, CLASSES };
enum act { NOTHING, TO_NAME, TO_VALUE, ESCAPED, DONE, FORGET };

struct step {
        enum state next;
        enum act act;
};

static enum class class_of(char c) {
        switch (c){
                case ' ' : case '\t' : return BLANK; case '\n' : return END; case '\r' : return RETURN;
                case '#' : case ';' : return HASH;
                case '=' : return EQUALS;
                case '"' : return QUOTE;
                case '\'' : return APOSTROPHE;
                case '\\' : return BACKSLASH;
                case '`' : case '$' : return SPECIAL;
                default : return OTHER;
        }
}

static struct step step_of(enum state state, enum class class, bool joins)
{
        bool end = class == END || class == RETURN;
        switch (state) {
        case START:
                return class == HASH           ? (struct step){ REMARK, NOTHING }
                       : class == BLANK || end ? (struct step){ START, NOTHING }
                                               : (struct step){ NAME, TO_NAME };
        case NAME:
                return end               ? (struct step){ START, FORGET }
                       : class == EQUALS ? (struct step){ BEFORE, NOTHING }
                                         : (struct step){ NAME, TO_NAME };
        case BEFORE:
                return end                   ? (struct step){ START, DONE }
                       : class == APOSTROPHE ? (struct step){ SINGLE, NOTHING }
                       : class == QUOTE      ? (struct step){ DOUBLE, NOTHING }
                       : class == BACKSLASH  ? (struct step){ PLAIN_ESCAPE, NOTHING }
                       : class == BLANK      ? (struct step){ BEFORE, NOTHING }
                                             : (struct step){ PLAIN, TO_VALUE };
        case PLAIN:
                return end                  ? (struct step){ START, DONE }
                       : class == BACKSLASH ? (struct step){ PLAIN_ESCAPE, NOTHING }
                                            : (struct step){ PLAIN, TO_VALUE };
        case PLAIN_ESCAPE:
                return (struct step){ PLAIN, end ? NOTHING : TO_VALUE };
        case SINGLE:
                return class == APOSTROPHE ? (struct step){ BEFORE, NOTHING } : (struct step){ SINGLE, TO_VALUE };
        case DOUBLE:
                return class == QUOTE       ? (struct step){ BEFORE, NOTHING }
                       : class == BACKSLASH ? (struct step){ DOUBLE_ESCAPE, NOTHING }
                                            : (struct step){ DOUBLE, TO_VALUE };
        case DOUBLE_ESCAPE:
                return class == END                                               ? (struct step){ DOUBLE, NOTHING }
                       : class == QUOTE || class == BACKSLASH || class == SPECIAL ? (struct step){ DOUBLE, TO_VALUE }
                                                                                  : (struct step){ DOUBLE, ESCAPED };
        case REMARK:
                return class == BACKSLASH ? (struct step){ REMARK_ESCAPE, NOTHING }
                                          : (struct step){ end ? START : REMARK, NOTHING };
        case REMARK_ESCAPE:
                return (struct step){ end && !joins ? START : REMARK, NOTHING };
        case STATES:
                break;
        }
        abort();
}

static void put(struct hl_buf *buf, char c)
{
        hl_buf_add(buf, &c, 1);
}

static bool is_name(const char *name, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (!isalnum((unsigned char)name[i]) && name[i] != '_')
                        return false;
        return len > 0 && !isdigit((unsigned char)*name);
}

static bool is_text(const struct hl_buf *buf)
{
        for (size_t i = 0; i < buf->len;) {
                const uint8_t *c = (const uint8_t *)buf->data + i;
                size_t more = *c < 0x80                 ? 0
                              : *c >= 0xC2 && *c < 0xE0 ? 1
                              : (*c & 0xF0) == 0xE0     ? 2
                              : (*c & 0xF8) == 0xF0     ? 3
                                                        : 9;
                if (more > 3 || more > buf->len - i - 1)
                        return false;
                uint32_t code = more ? *c & (0x3Fu >> more) : *c;
                for (size_t k = 1; k <= more; k++) {
                        if ((c[k] & 0xC0) != 0x80)
                                return false;
                        code = code << 6 | (c[k] & 0x3F);
                }
                if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10FFFF ||
                    (code >= 0xD800 && code < 0xE000) || (code >= 0xFDD0 && code < 0xFDF0) || (code & 0xFFFE) == 0xFFFE)
                        return false;
                i += more + 1;
        }
        return true;
}

struct other {
        struct hl_buf name, value, out;
        size_t keep; /* of the value, whatever blanks end it */
        int result;
};

/* The end of an assignment. */
static void close_assignment(struct other *o, enum state state)
{
        while (o->name.len && strchr(" \t", o->name.data[o->name.len - 1]))
                o->name.len--;
        while (state == PLAIN && o->value.len > o->keep && strchr(" \t", o->value.data[o->value.len - 1]))
                o->value.len--;
        if (!is_text(&o->name) || !is_text(&o->value))
                o->result = -EILSEQ;
        if (is_name(o->name.data, o->name.len)) {
                hl_buf_add(&o->out, o->name.data, o->name.len);
                put(&o->out, '=');
                hl_buf_add(&o->out, o->value.data ? o->value.data : "", o->value.len);
                put(&o->out, '\0');
        }
        o->name.len = o->value.len = o->keep = 0;
}

static void walk(struct other *o, const uint8_t *data, size_t size, bool joins)
{
        enum state state = START;
        for (size_t i = 0; i < size; i++) {
                char c = (char)data[i];
                struct step step = step_of(state, class_of(c), joins);
                if (step.act == TO_NAME)
                        put(&o->name, c);
                if (step.act == ESCAPED)
                        put(&o->value, '\\');
                if (step.act == TO_VALUE || step.act == ESCAPED)
                        put(&o->value, c);
                if (step.act == FORGET)
                        o->name.len = 0;
                if (step.act == DONE)
                        close_assignment(o, state);
                else if (state != PLAIN || step.next != PLAIN) /* blanks count only in one stretch of plain text */
                        o->keep = o->value.len;
                state = step.next;
        }
        if (state >= BEFORE && state <= DOUBLE_ESCAPE)
                close_assignment(o, state);
}

/* ---- ours ---- */

struct ours {
        struct hl_buf out;
        unsigned lines, last;
};

static void check_line(struct ours *ours, unsigned line)
{
        if (line < 1 || line > ours->lines || line < ours->last)
                abort();
        ours->last = line;
}

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        struct ours *ours = data;
        check_line(ours, line);
        hl_buf_addf(&ours->out, "%s=%s", name, value);
        put(&ours->out, '\0');
}

static void finding(void *data, const char *path, unsigned line, const char *key, const char *message)
{
        check_line(data, line);
        if (strcmp(path, "FILE") != 0 || !key || !*message)
                abort();
}

static unsigned systemd_252(void)
{
        return 252;
}

static void compare(const uint8_t *data, size_t size, bool joins)
{
        struct ours ours = { .lines = 1 };
        struct other other = { 0 };
        for (size_t i = 0; i < size; i++)
                ours.lines += data[i] == '\n';
        const struct hl_envfile file = {
                .text = (const char *)data, .len = size, .path = "FILE", .systemd = joins ? systemd_252 : NULL
        };
        const struct hl_report report = { finding, &ours };
        int r = hl_envfile_parse(&file, assign, &ours, &report);
        if (size > 0 && memchr(data, '\0', size)) {
                if (r != -EBADMSG || ours.out.len > 0)
                        abort();
        } else {
                walk(&other, data, size, joins);
                if (r != other.result || ours.out.len != other.out.len ||
                    (ours.out.len > 0 && memcmp(ours.out.data, other.out.data, ours.out.len) != 0))
                        abort();
        }
        hl_buf_free(&ours.out);
        hl_buf_free(&other.out);
        hl_buf_free(&other.name);
        hl_buf_free(&other.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        compare(data, size, false);
        compare(data, size, true);
        return 0;
}
