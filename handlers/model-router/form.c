/* SPDX-License-Identifier: MIT */
#include "form.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/content.h"

#include <stdbool.h>
#include <string.h>

/* The next byte that is meant. */
static char next_byte(const char **at, const char *end)
{
        const char *s = *at;
        *at = s + 1;
        if (*s == '+')
                return ' ';
        int high = *s == '%' && end - s > 2 ? hl_hex_digit(s[1]) : -1, low = high >= 0 ? hl_hex_digit(s[2]) : -1;
        if (low < 0)
                return *s;
        *at = s + 3;
        return (char)(high * 16 + low);
}

static bool is_named(const char *s, const char *end, const char *name)
{
        while (s < end && *name && next_byte(&s, end) == *name)
                name++;
        return s == end && !*name;
}

int hl_form_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value,
                  struct hl_err *err)
{
        const char *end = body + len, *value = NULL, *value_end = NULL;
        for (const char *pair = body, *pair_end; pair < end; pair = pair_end + 1) {
                pair_end = memchr(pair, '&', (size_t)(end - pair));
                pair_end = pair_end ? pair_end : end;
                const char *equals = memchr(pair, '=', (size_t)(pair_end - pair));
                if (!is_named(pair, equals ? equals : pair_end, name))
                        continue;
                value = equals ? equals + 1 : pair_end;
                value_end = pair_end;
        }
        if (!value) {
                *ret_value = NULL;
                return 0;
        }
        struct hl_buf decoded = { .max = HL_FIELD_VALUE_MAX + 1 }; /* one more is too long, and said to be */
        while (value < value_end) {
                char byte = next_byte(&value, value_end);
                if (hl_buf_add(&decoded, &byte, 1) < 0)
                        break;
        }
        HL_CLEANUP(hl_free_pointer)
        char *charset = content_type ? hl_content_parameter(content_type, strlen(content_type), "charset") : NULL;
        int r = hl_content_text(decoded.data ? decoded.data : "", decoded.len, charset, name, ret_value, err);
        hl_buf_free(&decoded);
        return r;
}
