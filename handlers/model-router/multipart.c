/* SPDX-License-Identifier: MIT */
#include "multipart.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/content.h"
#include "transfer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define CONTENT_MAX (4 * HL_FIELD_VALUE_MAX) /* bytes of a field, encoded: quoted-printable makes three of one */

struct text {
        const char *begin;
        size_t len;
};

struct form {
        const char *body, *end;
        char *dashes; /* "--" and the boundary */
        size_t dashes_len;
        struct hl_err *err;
};

struct delimiter {
        const char *begin, *next; /* of its line, and of the one behind it */
        bool last;                /* it ends the form */
};

struct part {
        struct text disposition, type, transfer, content;
};

static int malformed(const struct form *form, const char *what)
{
        return hl_fail(form->err, HL_ERR_INVALID, EINVAL, "invalid_form", "this is no well-formed form: %s", what);
}

static const char *behind_line_break(const char *s, const char *end)
{
        s += s < end && *s == '\r';
        return s + (s < end && *s == '\n');
}

/* The first delimiter at or behind `at`, which begins a line. The boundary in a line of more is content. */
static bool find_delimiter(const struct form *form, const char *at, struct delimiter *ret)
{
        const char *end = form->end;
        for (; (at = memmem(at, (size_t)(end - at), form->dashes, form->dashes_len)); at++) {
                if (at > form->body && at[-1] != '\n' && at[-1] != '\r')
                        continue;
                const char *s = at + form->dashes_len;
                bool last = end - s >= 2 && s[0] == '-' && s[1] == '-';
                s += last ? 2 : 0;
                while (s < end && (*s == ' ' || *s == '\t'))
                        s++;
                if (s < end && *s != '\r' && *s != '\n')
                        continue;
                *ret = (struct delimiter){ .begin = at, .next = behind_line_break(s, end), .last = last };
                return true;
        }
        return false;
}

static void note_header(struct part *part, struct text name, struct text value)
{
        const struct {
                const char *name;
                struct text *value;
        } wanted[] = {
                { "Content-Disposition", &part->disposition },
                { "Content-Type", &part->type },
                { "Content-Transfer-Encoding", &part->transfer },
        };
        for (size_t i = 0; i < HL_COUNT(wanted); i++)
                if (!wanted[i].value->begin && name.len == strlen(wanted[i].name) &&
                    strncasecmp(name.begin, wanted[i].name, name.len) == 0)
                        *wanted[i].value = value;
}

static const char *line_end(const char *s, const char *end)
{
        while (s < end && *s != '\r' && *s != '\n')
                s++;
        return s;
}

static bool is_header_name(const char *s, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (s[i] <= ' ' || s[i] >= 0x7F)
                        return false;
        return len > 0;
}

/* The headers from s on, and where the content begins that ends before `end`. */
static int read_headers(const struct form *form, const char *s, const char *end, struct part *part)
{
        *part = (struct part){ 0 };
        for (;;) {
                const char *stop = line_end(s, end), *next = behind_line_break(stop, end);
                if (stop == end)
                        return malformed(form, "a part has no empty line behind its headers");
                if (stop == s) {
                        part->content = (struct text){ next, (size_t)(end - next) };
                        return 0;
                }
                while (next < end && (*next == ' ' || *next == '\t')) { /* it is folded */
                        stop = line_end(next, end);
                        next = behind_line_break(stop, end);
                }
                const char *colon = memchr(s, ':', (size_t)(stop - s));
                if (!colon || !is_header_name(s, (size_t)(colon - s)))
                        return malformed(form, "a part has a line among its headers that is none");
                note_header(part, (struct text){ s, (size_t)(colon - s) },
                            (struct text){ colon + 1, (size_t)(stop - colon) - 1 });
                s = next;
        }
}

/* Whether the part is the field, and no file. */
static bool is_field(const struct part *part, const char *name)
{
        struct text disposition = part->disposition;
        if (!disposition.begin)
                return false;
        HL_CLEANUP(hl_free_pointer) char *named = hl_content_parameter(disposition.begin, disposition.len, "name");
        if (!named || strcmp(named, name) != 0)
                return false;
        HL_CLEANUP(hl_free_pointer) char *file = hl_content_parameter(disposition.begin, disposition.len, "filename");
        return !file;
}

/* The line break before a delimiter belongs to that. */
static void drop_line_break(struct text *content)
{
        const char *s = content->begin;
        size_t len = content->len;
        bool feed = len && s[len - 1] == '\n';
        len -= feed;
        len -= len && s[len - 1] == '\r';
        content->len = len;
}

static int read_field(const struct form *form, struct part *part, const char *name, char **ret_value)
{
        drop_line_break(&part->content);
        struct hl_buf decoded = { 0 };
        struct text content = part->content;
        if (content.len > CONTENT_MAX) /* which is told of it without a copy */
                return hl_content_text(content.begin, content.len, NULL, name, ret_value, form->err);
        int r = hl_transfer_decode(part->transfer.begin, part->transfer.len, content.begin, content.len, &decoded);
        HL_CLEANUP(hl_free_pointer)
        char *charset = part->type.begin ? hl_content_parameter(part->type.begin, part->type.len, "charset") : NULL;
        if (r < 0)
                r = malformed(form, "a field is not in the base64 that its Content-Transfer-Encoding promises");
        else
                r = hl_content_text(decoded.data ? decoded.data : "", decoded.len, charset, name, ret_value, form->err);
        hl_buf_free(&decoded);
        return r;
}

/* *ret_part: the last part that is the field, without content where there is none. */
static int find_part(const struct form *form, const char *name, struct part *ret_part)
{
        struct delimiter before, after;
        /* A form without fields is its end alone; an end behind anything else lacks its beginning. */
        if (!find_delimiter(form, form->body, &before) || (before.last && before.begin > form->body))
                return malformed(form, "the boundary that its Content-Type names does not begin a line");
        for (; !before.last; before = after) {
                struct part part;
                if (!find_delimiter(form, before.next, &after))
                        return malformed(form, "its end is missing");
                int r = read_headers(form, before.next, after.begin, &part);
                if (r < 0)
                        return r;
                if (is_field(&part, name))
                        *ret_part = part;
        }
        return 0;
}

int hl_multipart_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value,
                       struct hl_err *err)
{
        struct form form = { .body = body, .end = body + len, .err = err };
        HL_CLEANUP(hl_free_pointer)
        char *boundary = hl_content_parameter(content_type, strlen(content_type), "boundary");
        size_t boundary_len = boundary ? strlen(boundary) : 0;
        while (boundary_len && strchr(" \t", boundary[boundary_len - 1])) /* RFC 2046: none ends with these */
                boundary_len--;
        if (!boundary_len)
                return malformed(&form, "its Content-Type has no boundary; let the client's library set that header");
        HL_CLEANUP(hl_free_pointer) char *dashes = hl_format("--%.*s", (int)boundary_len, boundary);
        form.dashes = dashes;
        form.dashes_len = strlen(dashes);
        struct part part = { 0 };
        int r = find_part(&form, name, &part);
        if (r < 0)
                return r;
        if (part.content.begin)
                return read_field(&form, &part, name, ret_value);
        *ret_value = NULL;
        return 0;
}
