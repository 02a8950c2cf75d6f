#include "envfile.h"

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
        const char *next, *end;
        unsigned line;
};

static int take(struct cursor *c)
{
        if (c->next == c->end)
                return -1;
        c->line += *c->next == '\n';
        return (unsigned char)*c->next++;
}

static int look(const struct cursor *c)
{
        return c->next == c->end ? -1 : (unsigned char)*c->next;
}

static void skip_line(struct cursor *c)
{
        int b;
        while ((b = take(c)) >= 0 && b != '\n')
                if (b == '\\') /* also a comment goes on behind a backslash */
                        take(c);
}

/* Inside quotes, up to the closing one. Within '…' nothing is special; within "…" a backslash
 * escapes the four characters that need it, and joins lines. */
static void take_quoted(struct cursor *c, int quote, struct hl_buf *value)
{
        int b;
        while ((b = take(c)) >= 0 && b != quote) {
                if (b == '\\' && quote == '"') {
                        int escaped = take(c);
                        if (escaped == '\n')
                                continue;
                        if (escaped >= 0 && !strchr("\"\\`$", escaped))
                                hl_buf_add(value, "\\", 1);
                        b = escaped;
                }
                if (b > 0)
                        hl_buf_add(value, &(char){ (char)b }, 1);
        }
}

/* Up to the end of the line; white space at both ends is dropped, unless it is quoted. */
static void take_value(struct cursor *c, struct hl_buf *value)
{
        size_t keep = 0; /* bytes that trailing white space may not be cut from */
        while (look(c) == ' ' || look(c) == '\t')
                take(c);
        int b;
        while ((b = take(c)) >= 0 && b != '\n' && b != '\r') {
                if (b == '"' || b == '\'') {
                        take_quoted(c, b, value);
                        keep = value->len;
                } else if (b == '\\') {
                        b = take(c);
                        if (b > 0 && b != '\n')
                                hl_buf_add(value, &(char){ (char)b }, 1);
                        keep = value->len;
                } else if (b > 0) {
                        hl_buf_add(value, &(char){ (char)b }, 1);
                }
        }
        while (value->len > keep && isspace((unsigned char)value->data[value->len - 1]))
                value->data[--value->len] = '\0';
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

void hl_envfile_parse(const char *text, size_t len, hl_envfile_fn *assign, void *data, const char *file,
                      hl_finding_fn *finding, void *finding_data)
{
        struct cursor c = { .next = text, .end = text + len, .line = 1 };
        while (look(&c) >= 0) {
                int b = look(&c);
                if (isspace(b)) {
                        take(&c);
                        continue;
                }
                if (b == '#' || b == ';') {
                        skip_line(&c);
                        continue;
                }

                unsigned line = c.line;
                const char *start = c.next;
                while (look(&c) >= 0 && look(&c) != '=' && look(&c) != '\n')
                        take(&c);
                size_t name_len = (size_t)(c.next - start);
                while (name_len > 0 && isspace((unsigned char)start[name_len - 1]))
                        name_len--;
                HL_CLEANUP(hl_free_pointer) char *name = hl_strndup(start, name_len);
                if (look(&c) != '=' || !is_name(name)) {
                        if (finding)
                                finding(finding_data, file, line, "", "expected NAME=VALUE");
                        skip_line(&c);
                        continue;
                }
                take(&c);
                struct hl_buf value = { 0 };
                take_value(&c, &value);
                assign(data, line, name, value.data ? value.data : "");
                hl_buf_free(&value);
        }
}
