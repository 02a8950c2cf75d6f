/* SPDX-License-Identifier: MIT */
#include "json_encoding.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct encoding {
        size_t unit; /* bytes */
        bool big_endian;
        size_t mark; /* bytes of the byte order mark */
};

static bool begins_with(const char *text, size_t len, const char *mark, size_t mark_len)
{
        return len >= mark_len && memcmp(text, mark, mark_len) == 0;
}

static struct encoding detect(const char *text, size_t len)
{
        static const struct {
                const char *mark;
                struct encoding encoding;
        } marks[] = { /* the longer ones first: UTF-32's begins with UTF-16's */
                      { "\xFF\xFE\0\0", { 4, false, 4 } },
                      { "\0\0\xFE\xFF", { 4, true, 4 } },
                      { "\xFF\xFE", { 2, false, 2 } },
                      { "\xFE\xFF", { 2, true, 2 } },
                      { "\xEF\xBB\xBF", { 1, false, 3 } }
        };
        for (size_t i = 0; i < HL_COUNT(marks); i++)
                if (begins_with(text, len, marks[i].mark, marks[i].encoding.mark))
                        return marks[i].encoding;
        if (len >= 4 && !text[0])
                return (struct encoding){ text[1] ? 2 : 4, true, 0 };
        if (len >= 4 && !text[1])
                return (struct encoding){ text[2] || text[3] ? 2 : 4, false, 0 };
        if (len == 2 && (!text[0] || !text[1]))
                return (struct encoding){ 2, !text[0], 0 };
        return (struct encoding){ 1, false, 0 };
}

static uint32_t unit_at(const char *text, const struct encoding *encoding)
{
        uint32_t unit = 0;
        for (size_t i = 0; i < encoding->unit; i++)
                unit = unit << 8 | (unsigned char)text[encoding->big_endian ? i : encoding->unit - 1 - i];
        return unit;
}

int hl_json_to_utf8(const char **text, size_t *len, char **ret_owned)
{
        const struct encoding encoding = detect(*text, *len);
        const char *next = *text + encoding.mark, *end = *text + *len;
        if (encoding.unit == 1) {
                *text = next;
                *len = (size_t)(end - next);
                return 0;
        }
        size_t units = (size_t)(end - next) / encoding.unit, n = 0;
        if (units * encoding.unit != (size_t)(end - next))
                return -EINVAL;
        /* A unit of UTF-16 takes three bytes at most: what takes four is two units. */
        char *out = malloc(units * (encoding.unit == 2 ? 3 : 4) + 4);
        if (!out)
                return -ENOMEM;
        while (next < end) {
                uint32_t code = unit_at(next, &encoding);
                next += encoding.unit;
                if (encoding.unit == 2 && code >> 10 == 0xD800 >> 10 && next < end) {
                        uint32_t low = unit_at(next, &encoding);
                        if (low >> 10 == 0xDC00 >> 10) {
                                code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
                                next += encoding.unit;
                        }
                }
                if (code > 0x10FFFF) {
                        free(out);
                        return -EINVAL;
                }
                n += hl_utf8_put(code, out + n);
        }
        *ret_owned = out;
        *text = out;
        *len = n;
        return 0;
}
