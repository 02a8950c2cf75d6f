/* SPDX-License-Identifier: MIT */
#include "json_walk.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>

struct walk {
        const char *next, *end;
        unsigned line;
        int depth;
        hl_json_key_fn *key_fn;
        void *data;
        struct hl_err *err;
};

static int walk_value(struct walk *w, const char *path);

static int expected(struct walk *w, const char *what)
{
        return hl_fail(w->err, HL_ERR_INVALID, EINVAL, "invalid_json", "line %u: expected %s", w->line, what);
}

static void skip_space(struct walk *w)
{
        for (; w->next < w->end && memchr(" \t\r\n", *w->next, 4); w->next++)
                w->line += *w->next == '\n';
}

/* The next byte that is not white space, or '\0' at the end. */
static char peek(struct walk *w)
{
        skip_space(w);
        return w->next < w->end ? *w->next : '\0';
}

static bool take(struct walk *w, char c)
{
        bool there = peek(w) == c && w->next < w->end;
        w->next += there;
        return there;
}

static int walk_string(struct walk *w)
{
        const char *s = w->next + 1;
        for (; s < w->end && *s != '"'; s++) {
                if ((unsigned char)*s < 0x20)
                        return expected(w, "no control characters in a string: escape them");
                if (*s != '\\')
                        continue;
                if (++s >= w->end || !*s || !strchr("\"\\/bfnrtu", *s))
                        return expected(w, "a valid escape after \\");
                if (*s == 'u')
                        for (int i = 0; i < 4; i++)
                                if (++s >= w->end || !*s || !strchr("0123456789abcdefABCDEF", *s))
                                        return expected(w, "four hexadecimal digits after \\u");
        }
        if (s >= w->end)
                return expected(w, "a closing \"");
        if (!hl_utf8_valid(w->next, (size_t)(s - w->next)))
                return expected(w, "valid UTF-8");
        w->next = s + 1;
        return 0;
}

static size_t digits(struct walk *w)
{
        const char *start = w->next;
        while (w->next < w->end && *w->next >= '0' && *w->next <= '9')
                w->next++;
        return (size_t)(w->next - start);
}

static int walk_number(struct walk *w)
{
        w->next += *w->next == '-';
        const char *integer = w->next;
        size_t n = digits(w);
        if (n == 0 || (n > 1 && *integer == '0'))
                return expected(w, "a number");
        if (w->next < w->end && *w->next == '.') {
                w->next++;
                if (digits(w) == 0)
                        return expected(w, "digits after the decimal point");
        }
        if (w->next < w->end && (*w->next | 0x20) == 'e') {
                w->next++;
                if (w->next < w->end && (*w->next == '+' || *w->next == '-'))
                        w->next++;
                if (digits(w) == 0)
                        return expected(w, "digits in the exponent");
        }
        return 0;
}

/* The key at w->next with its escapes decoded, by json-c, so that "a" and "\u0061" are the same. */
static int walk_key(struct walk *w, hl_json *seen, const char *path, char **ret_path)
{
        if (peek(w) != '"')
                return expected(w, "a key in double quotes");
        const char *start = w->next;
        int r = walk_string(w);
        if (r < 0)
                return r;

        HL_CLEANUP(hl_free_pointer) char *quoted = hl_strndup(start, (size_t)(w->next - start));
        HL_CLEANUP(hl_json_cleanup) hl_json *string = json_tokener_parse(quoted);
        const char *key = string ? json_object_get_string(string) : NULL;
        if (!key || strlen(key) != (size_t)json_object_get_string_len(string))
                return expected(w, "a key without NUL");
        if (json_object_object_get_ex(seen, key, NULL))
                return hl_fail(w->err, HL_ERR_INVALID, EINVAL, "duplicate_key", "line %u: the key %s appears twice",
                               w->line, quoted);
        json_object_object_add(seen, key, NULL);
        *ret_path = hl_format("%s%s%s", path, *path ? "." : "", key);
        return 0;
}

static int walk_member(struct walk *w, hl_json *seen, const char *path)
{
        HL_CLEANUP(hl_free_pointer) char *key_path = NULL;
        int r = walk_key(w, seen, path, &key_path);
        if (r < 0)
                return r;
        if (w->key_fn && (r = w->key_fn(w->data, key_path, w->line)) != 0)
                return r;
        if (!take(w, ':'))
                return expected(w, "a colon after a key");
        return walk_value(w, key_path);
}

static int walk_object(struct walk *w, const char *path)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *seen = hl_json_new();
        w->next++;
        if (take(w, '}'))
                return 0;
        do {
                int r = walk_member(w, seen, path);
                if (r != 0)
                        return r;
        } while (take(w, ','));
        return take(w, '}') ? 0 : expected(w, "a comma or }");
}

static int walk_array(struct walk *w, const char *path)
{
        w->next++;
        if (take(w, ']'))
                return 0;
        do {
                int r = walk_value(w, path);
                if (r != 0)
                        return r;
        } while (take(w, ','));
        return take(w, ']') ? 0 : expected(w, "a comma or ]");
}

static int walk_word(struct walk *w)
{
        /* The last ones are Python's, and so come out of templates. */
        static const char *const words[] = { "true", "false", "null", "True", "False", "None" };
        for (size_t i = 0; i < HL_COUNT(words); i++) {
                size_t len = strlen(words[i]);
                if ((size_t)(w->end - w->next) < len || memcmp(w->next, words[i], len) != 0)
                        continue;
                if (i >= HL_COUNT(words) / 2)
                        return expected(w, "true, false or null, in small letters");
                w->next += len;
                return 0;
        }
        return expected(w, "a value");
}

static int walk_value(struct walk *w, const char *path)
{
        if (w->depth >= HL_JSON_DEPTH_MAX)
                return expected(w, "less nesting");
        char c = peek(w);
        int r;
        w->depth++;
        if (c == '{')
                r = walk_object(w, path);
        else if (c == '[')
                r = walk_array(w, path);
        else if (c == '"')
                r = walk_string(w);
        else if (c == '-' || (c >= '0' && c <= '9'))
                r = walk_number(w);
        else
                r = walk_word(w);
        w->depth--;
        return r;
}

int hl_json_walk(const char *text, size_t len, hl_json_key_fn *key_fn, void *data, struct hl_err *err)
{
        struct walk w = { .next = text, .end = text + len, .line = 1, .key_fn = key_fn, .data = data, .err = err };
        if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
                return expected(&w, "no byte order mark: save it as UTF-8 without one");
        if (peek(&w) != '{')
                return expected(&w, "a JSON object, { … }");
        int r = walk_value(&w, "");
        if (r != 0)
                return r;
        skip_space(&w);
        return w.next == w.end ? 0 : expected(&w, "nothing after the object");
}

struct search {
        const char *path;
        unsigned line;
};

static int compare_path(void *data, const char *path, unsigned line)
{
        struct search *search = data;
        if (strcmp(path, search->path) != 0)
                return 0;
        search->line = line;
        return 1;
}

unsigned hl_json_line_of(const char *text, size_t len, const char *path)
{
        struct search search = { .path = path, .line = 1 };
        struct hl_err ignored = { 0 };
        hl_json_walk(text, len, compare_path, &search, &ignored);
        return search.line;
}
