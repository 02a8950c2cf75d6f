/* SPDX-License-Identifier: MIT */
#include "json_find.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "json_encoding.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 32 /* bytes of a string that are looked at together: what the compiler makes vectors of */

struct finder {
        const char *text, *next, *end;
        const char *wanted;
        const char *value, *value_end; /* where the last value of that key stands */
        size_t depth;
        uint64_t objects[HL_JSON_FIND_DEPTH_MAX / 64 + 1]; /* a bit for each level: an object, or else an array */
        struct hl_err *err;
};

/* What is wrong is where f->next stands. */
static int expected(const struct finder *f, const char *what)
{
        size_t line = 1;
        const char *begin = f->text;
        for (const char *s; (s = memchr(begin, '\n', (size_t)(f->next - begin))); begin = s + 1)
                line++;
        return hl_fail(f->err, HL_ERR_INVALID, EINVAL, "invalid_json", "line %zu, column %zu: expected %s", line,
                       (size_t)(f->next - begin) + 1, what);
}

/* The next byte that is not white space, or '\0' at the end. */
static char peek(struct finder *f)
{
        while (f->next < f->end && (*f->next == ' ' || *f->next == '\n' || *f->next == '\r' || *f->next == '\t'))
                f->next++;
        return f->next < f->end ? *f->next : '\0';
}

static bool take(struct finder *f, char c)
{
        bool there = peek(f) == c; /* which is no NUL */
        f->next += there;
        return there;
}

/* ---- strings ---- */

/* ASCII that means itself in a string. Read as signed, what is above ASCII is below the space, too. */
static bool is_plain(char c)
{
        return (signed char)c >= ' ' && c != '"' && c != '\\';
}

static const char *pass_plain(const char *s, const char *end)
{
        while (end - s >= BLOCK) {
                unsigned char others = 0;
                for (int i = 0; i < BLOCK; i++)
                        others |= (unsigned char)!is_plain(s[i]);
                if (others)
                        break;
                s += BLOCK;
        }
        while (s < end && is_plain(*s))
                s++;
        return s;
}

/* Behind the escape at f->next. */
static int pass_escape(struct finder *f)
{
        if (f->end - f->next < 2 || !f->next[1] || !strchr("\"\\/bfnrtu", f->next[1]))
                return expected(f, "a valid escape after \\");
        if (f->next[1] == 'u')
                for (int i = 2; i < 6; i++)
                        if (f->end - f->next <= i || hl_hex_digit(f->next[i]) < 0)
                                return expected(f, "four hexadecimal digits after \\u");
        f->next += f->next[1] == 'u' ? 6 : 2;
        return 0;
}

/* Python reads a surrogate that was written as if it were a character. */
static bool is_surrogate(const char *s, size_t left)
{
        const unsigned char *b = (const unsigned char *)s;
        return left >= 3 && b[0] == 0xED && b[1] >= 0xA0 && b[1] <= 0xBF && b[2] >= 0x80 && b[2] <= 0xBF;
}

/* Characters beyond ASCII. */
static int pass_wide(struct finder *f)
{
        while (f->next < f->end && *f->next & 0x80) {
                size_t left = (size_t)(f->end - f->next), n = hl_utf8_char(f->next, left);
                if (n == 0 && !is_surrogate(f->next, left))
                        return expected(f, "valid UTF-8: send the body in UTF-8 (PowerShell 5 sends ISO-8859-1, unless "
                                           "-Body is given bytes)");
                f->next += n ? n : 3;
        }
        return 0;
}

static int pass_string(struct finder *f)
{
        f->next++;
        for (int r = 0; r == 0;) {
                f->next = pass_plain(f->next, f->end);
                if (f->next == f->end)
                        return expected(f, "a closing \"");
                if (*f->next == '"') {
                        f->next++;
                        return 0;
                }
                if (*f->next == '\\')
                        r = pass_escape(f);
                else if (*f->next & 0x80)
                        r = pass_wide(f);
                else
                        r = expected(f, "no control characters in a string: escape them");
        }
        return -EINVAL;
}

static uint32_t four_digits(const char *s)
{
        uint32_t code = 0;
        for (int i = 0; i < 4; i++)
                code = code << 4 | (uint32_t)hl_hex_digit(s[i]);
        return code;
}

/* The next character of a string that pass_string() has passed: its bytes, and how many. */
static size_t next_character(const char **literal, char out[static 4])
{
        static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
        const char *s = *literal;
        if (*s != '\\') {
                out[0] = *s;
                *literal = s + 1;
                return 1;
        }
        if (s[1] != 'u') {
                const char *letter = strchr(letters, s[1]);
                out[0] = letter ? meant[letter - letters] : s[1];
                *literal = s + 2;
                return 1;
        }
        uint32_t code = four_digits(s + 2);
        s += 6;
        if (code >> 10 == 0xD800 >> 10 && s[0] == '\\' && s[1] == 'u' && four_digits(s + 2) >> 10 == 0xDC00 >> 10) {
                code = 0x10000 + ((code & 0x3FF) << 10 | (four_digits(s + 2) & 0x3FF));
                s += 6;
        }
        *literal = s;
        return hl_utf8_put(code, out);
}

/* ---- everything else ---- */

static size_t pass_digits(struct finder *f)
{
        const char *begin = f->next;
        while (f->next < f->end && *f->next >= '0' && *f->next <= '9')
                f->next++;
        return (size_t)(f->next - begin);
}

static int pass_number(struct finder *f)
{
        f->next += *f->next == '-';
        const char *integer = f->next;
        size_t n = pass_digits(f);
        if (n == 0 || (n > 1 && *integer == '0'))
                return expected(f, "a number");
        if (f->next < f->end && *f->next == '.') {
                f->next++;
                if (pass_digits(f) == 0)
                        return expected(f, "digits after the decimal point");
        }
        if (f->next < f->end && (*f->next | 0x20) == 'e') {
                f->next++;
                if (f->next < f->end && (*f->next == '+' || *f->next == '-'))
                        f->next++;
                if (pass_digits(f) == 0)
                        return expected(f, "digits in the exponent");
        }
        return 0;
}

static bool pass_word(struct finder *f)
{
        static const char *const words[] = { "true", "false", "null", "NaN", "Infinity", "-Infinity" };
        for (size_t i = 0; i < HL_COUNT(words); i++) {
                size_t len = strlen(words[i]);
                if ((size_t)(f->end - f->next) >= len && memcmp(f->next, words[i], len) == 0) {
                        f->next += len;
                        return true;
                }
        }
        return false;
}

static bool in_object(const struct finder *f)
{
        return f->objects[f->depth / 64] >> f->depth % 64 & 1;
}

static int enter(struct finder *f, bool object)
{
        if (f->depth == HL_JSON_FIND_DEPTH_MAX)
                return expected(f, "less nesting");
        f->next++;
        f->depth++;
        uint64_t bit = UINT64_C(1) << f->depth % 64, *level = &f->objects[f->depth / 64];
        *level = object ? *level | bit : *level & ~bit;
        return 0;
}

/* The beginning of an object or an array, and any other value to its end. */
static int pass_value(struct finder *f)
{
        char c = peek(f);
        if (c == '{' || c == '[')
                return enter(f, c == '{');
        if (c == '"')
                return pass_string(f);
        if ((c >= '0' && c <= '9') || (c == '-' && f->end - f->next > 1 && f->next[1] != 'I'))
                return pass_number(f);
        return pass_word(f) ? 0 : expected(f, "a value");
}

/* A key and its colon. */
static int pass_key(struct finder *f, bool *ret_wanted)
{
        if (peek(f) != '"')
                return expected(f, "a key in double quotes");
        const char *at = f->next + 1, *wanted = f->wanted;
        int r = pass_string(f);
        if (r < 0)
                return r;
        if (f->depth == 1) {
                const char *end = f->next - 1;
                char c[4];
                while (at < end && *wanted && next_character(&at, c) == 1 && c[0] == *wanted)
                        wanted++;
                *ret_wanted = at == end && !*wanted;
        }
        return take(f, ':') ? 0 : expected(f, "a colon after a key");
}

/* The outermost object, to its end. */
static int pass_object(struct finder *f)
{
        int r = enter(f, true);
        bool first = true; /* of its object or array */
        while (r == 0 && f->depth > 0) {
                bool object = in_object(f), wanted = false;
                if (take(f, object ? '}' : ']')) {
                        f->depth--;
                        first = false;
                        continue;
                }
                if (!first && !take(f, ','))
                        return expected(f, object ? "a comma or }" : "a comma or ]");
                if (object && (r = pass_key(f, &wanted)) < 0)
                        return r;
                peek(f);
                const char *value = f->next;
                size_t depth = f->depth;
                r = pass_value(f);
                first = f->depth > depth;
                if (wanted) {
                        f->value = value;
                        f->value_end = f->next;
                }
        }
        return r;
}

static int decode_value(const struct finder *f, char **ret_value)
{
        if (*f->value != '"' || f->value_end - f->value > HL_JSON_FIND_VALUE_MAX)
                return hl_fail(f->err, HL_ERR_INVALID, EINVAL, "invalid_value",
                               "\"%s\" must be a string of at most %d bytes", f->wanted, HL_JSON_FIND_VALUE_MAX);
        /* Nothing is shorter escaped than as it is; four bytes more are room to write a character in. */
        HL_CLEANUP(hl_free_pointer) char *value = hl_alloc((size_t)(f->value_end - f->value) + 4);
        size_t len = 0;
        for (const char *s = f->value + 1; s < f->value_end - 1;) {
                size_t n = next_character(&s, value + len);
                if (!value[len])
                        return hl_fail(f->err, HL_ERR_INVALID, EINVAL, "invalid_value",
                                       "\"%s\" must be a string without NUL", f->wanted);
                len += n;
        }
        value[len] = '\0';
        *ret_value = hl_steal(value);
        return 0;
}

int hl_json_find_string(const char *text, size_t len, const char *key, char **ret_value, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *owned = NULL;
        int r = hl_json_to_utf8(&text, &len, &owned);
        if (r == -ENOMEM)
                return hl_fail(err, HL_ERR_TOO_LARGE, ENOMEM, "body_too_large",
                               "this host has no memory left to read the body in: send it in UTF-8");
        if (r < 0)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_json",
                               "the body begins as UTF-16 or UTF-32 and is not: send it in UTF-8");
        struct finder f = { .text = text, .next = text, .end = text + len, .wanted = key, .err = err };
        if (peek(&f) != '{')
                return expected(&f, "a JSON object, { … }");
        r = pass_object(&f);
        if (r < 0)
                return r;
        peek(&f);
        if (f.next < f.end)
                return expected(&f, "nothing after the object");
        if (f.value)
                return decode_value(&f, ret_value);
        *ret_value = NULL;
        return 0;
}
