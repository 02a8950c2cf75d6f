/* SPDX-License-Identifier: MIT */
#include "content.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define PIECES_MAX 16 /* of one parameter: name*0=, name*1=… */
#define SHOWN_MAX 40  /* bytes of a header that a message repeats */
#define NO_NUL '\xFF' /* a byte that no UTF-8 has */
#define SPACE " \t\r\n"

/* What Python strips from a parameter: white space, and the four separators of ASCII. */
static bool is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
}

static bool is_word(const char *s, size_t len, const char *word)
{
        return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

/* The media type at the beginning: its length. */
static size_t media_type(const char **content_type)
{
        *content_type += strspn(*content_type, SPACE);
        return strcspn(*content_type, "; \t,");
}

bool hl_content_is(const char *content_type, const char *type)
{
        size_t len = content_type ? media_type(&content_type) : 0;
        return len > 0 && is_word(content_type, len, type);
}

bool hl_content_is_json(const char *content_type)
{
        size_t len = content_type ? media_type(&content_type) : 0;
        return len > 0 && (is_word(content_type, len, "application/json") || is_word(content_type, len, "text/json") ||
                           (len > 5 && is_word(content_type + len - 5, 5, "+json")));
}

bool hl_content_is_unencoded(const char *content_encoding)
{
        static const char *const plain[] = { "identity", "utf-8", "utf8", "7bit", "8bit", "binary" };
        const char *s = content_encoding ? content_encoding : "";
        while (*s) {
                s += strspn(s, SPACE ",");
                size_t len = strcspn(s, SPACE ",");
                bool known = len == 0;
                for (size_t i = 0; i < HL_COUNT(plain); i++)
                        known = known || is_word(s, len, plain[i]);
                if (!known)
                        return false;
                s += len;
        }
        return true;
}

int hl_content_refuse_encoding(const char *content_encoding, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *shown = hl_strndup(content_encoding, SHOWN_MAX);
        hl_make_printable(shown);
        return hl_fail(err, HL_ERR_UNSUPPORTED, EOPNOTSUPP, "unsupported_content_encoding",
                       "a body with Content-Encoding: %s is not read here: send it uncompressed", shown);
}

/* ---- parameters ---- */

struct parameter {
        const char *name, *value;
        size_t name_len, value_len;
};

/* The ';' that ends what begins at s, or the end; one in quotes ends nothing. */
static const char *part_end(const char *s, const char *end)
{
        bool quoted = false;
        for (; s < end && (quoted || *s != ';'); s++)
                if (*s == '"')
                        quoted = !quoted;
                else if (quoted && *s == '\\' && end - s > 1)
                        s++;
        return s;
}

static void trim(const char **s, size_t *len)
{
        while (*len && is_space((*s)[*len - 1]))
                --*len;
        while (*len && is_space(**s)) {
                ++*s;
                --*len;
        }
}

/* The parameter behind the ';' at *at, which moves on to the next one. */
static bool next_parameter(const char **at, const char *end, struct parameter *ret)
{
        while (*at < end) {
                const char *begin = *at + 1, *stop = part_end(begin, end);
                const char *equals = memchr(begin, '=', (size_t)(stop - begin));
                *at = stop;
                if (!equals)
                        continue;
                *ret = (struct parameter){ .name = begin,
                                           .name_len = (size_t)(equals - begin),
                                           .value = equals + 1,
                                           .value_len = (size_t)(stop - equals) - 1 };
                trim(&ret->name, &ret->name_len);
                trim(&ret->value, &ret->value_len);
                return true;
        }
        return false;
}

static bool find_parameter(const char *value, size_t len, const char *name, struct parameter *ret)
{
        const char *end = value + len, *at = part_end(value, end);
        while (next_parameter(&at, end, ret))
                if (is_word(ret->name, ret->name_len, name))
                        return true;
        return false;
}

/* A NUL would end the text early, and make it equal to what it is not. */
static char no_nul(char c)
{
        return c ? c : NO_NUL;
}

/* In quotes, \" and \\ stand for what follows; a \ before anything else is one, as in C:\model. */
static char *unquoted(const struct parameter *parameter)
{
        const char *s = parameter->value;
        size_t len = parameter->value_len, n = 0;
        char *out = hl_alloc(len + 1);
        bool quoted = len >= 2 && s[0] == '"' && s[len - 1] == '"';
        for (size_t i = quoted, end = len - quoted; i < end; i++) {
                i += quoted && s[i] == '\\' && i + 1 < end && (s[i + 1] == '"' || s[i + 1] == '\\');
                out[n++] = no_nul(s[i]);
        }
        return out;
}

/* %XX, and all else as it is, in place. */
static void decode_percent(char *text)
{
        char *out = text;
        for (; *text; text++) {
                int high = *text == '%' ? hl_hex_digit(text[1]) : -1, low = high >= 0 ? hl_hex_digit(text[2]) : -1;
                *out++ = low >= 0 ? no_nul((char)(high * 16 + low)) : *text;
                text += low >= 0 ? 2 : 0;
        }
        *out = '\0';
}

/* What is put together from name*, or from name*0, name*1… */
struct extended {
        struct hl_buf text;
        bool has_charset; /* charset'language' at its beginning */
        bool twice;       /* a piece that is there twice: nobody can say what is meant */
};

static bool add_piece(struct extended *extended, const char *value, size_t len, const char *name)
{
        struct parameter parameter;
        const char *end = value + len, *at = part_end(value, end);
        bool found = false;
        while (next_parameter(&at, end, &parameter)) {
                if (!is_word(parameter.name, parameter.name_len, name))
                        continue;
                HL_CLEANUP(hl_free_pointer) char *piece = unquoted(&parameter);
                if (name[strlen(name) - 1] == '*') {
                        decode_percent(piece);
                        extended->has_charset = true;
                }
                hl_buf_adds(&extended->text, piece);
                extended->twice = extended->twice || found;
                found = true;
        }
        return found;
}

/* name*=charset'language'value, also in pieces. */
static char *extended_parameter(const char *value, size_t len, const char *name)
{
        struct extended extended = { 0 };
        HL_CLEANUP(hl_free_pointer) char *whole = hl_format("%s*", name);
        bool found = !add_piece(&extended, value, len, whole);
        for (int i = 0; found && i < PIECES_MAX; i++) {
                HL_CLEANUP(hl_free_pointer) char *starred = hl_format("%s*%d*", name, i);
                HL_CLEANUP(hl_free_pointer) char *piece = hl_strndup(starred, strlen(starred) - 1);
                found = add_piece(&extended, value, len, piece) || add_piece(&extended, value, len, starred);
        }
        char *text = NULL;
        if (extended.text.data && !extended.twice) {
                const char *first = extended.has_charset ? strchr(extended.text.data, '\'') : NULL;
                const char *second = first ? strchr(first + 1, '\'') : NULL;
                text = hl_strdup(second ? second + 1 : extended.text.data);
        }
        hl_buf_free(&extended.text);
        return text;
}

char *hl_content_parameter(const char *value, size_t len, const char *name)
{
        struct parameter parameter;
        if (find_parameter(value, len, name, &parameter))
                return unquoted(&parameter);
        return memchr(value, '*', len) ? extended_parameter(value, len, name) : NULL;
}

/* ---- the text of a field ---- */

static char *from_latin1(const char *bytes, size_t len)
{
        char *out = hl_alloc(2 * len + 4);
        for (size_t i = 0, n = 0; i < len; i++)
                n += hl_utf8_put((unsigned char)bytes[i], out + n);
        return out;
}

int hl_content_text(const char *bytes, size_t len, const char *charset, const char *name, char **ret_value,
                    struct hl_err *err)
{
        static const char *const latin1[] = { "iso-8859-1", "latin1", "windows-1252" };
        bool is_latin1 = false;
        for (size_t i = 0; charset && i < HL_COUNT(latin1); i++)
                is_latin1 = is_latin1 || strcasecmp(charset, latin1[i]) == 0;
        if (len > HL_FIELD_VALUE_MAX)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_value", "\"%s\" must have at most %d bytes", name,
                               HL_FIELD_VALUE_MAX);
        if (memchr(bytes, '\0', len))
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_value", "\"%s\" must be text without NUL", name);
        if (!is_latin1 && !hl_utf8_valid(bytes, len))
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_value",
                               "\"%s\" must be valid UTF-8: send the form in UTF-8", name);
        *ret_value = is_latin1 ? from_latin1(bytes, len) : hl_strndup(bytes, len);
        return 0;
}
