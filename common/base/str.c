/* SPDX-License-Identifier: MIT */
#include "str.h"

#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int hl_parse_uint(const char *text, uint64_t max, uint64_t *ret_value)
{
        if (!*text)
                return -EINVAL;
        uint64_t value = 0;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return -EINVAL;
                uint64_t digit = (uint64_t)(*text - '0');
                if (digit > max || value > (max - digit) / 10)
                        return -ERANGE;
                value = value * 10 + digit;
        }
        *ret_value = value;
        return 0;
}

size_t hl_utf8_char(const char *bytes, size_t left)
{
        const unsigned char *b = (const unsigned char *)bytes;
        if (b[0] < 0x80)
                return 1;
        size_t len = b[0] >= 0xC2 && b[0] <= 0xDF   ? 2
                     : (b[0] & 0xF0) == 0xE0        ? 3
                     : b[0] >= 0xF0 && b[0] <= 0xF4 ? 4
                                                    : 0;
        if (!len || len > left)
                return 0;
        for (size_t i = 1; i < len; i++)
                if ((b[i] & 0xC0) != 0x80)
                        return 0;
        bool overlong = (b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xF0 && b[1] < 0x90);
        bool surrogate = b[0] == 0xED && b[1] > 0x9F;
        bool beyond = b[0] == 0xF4 && b[1] > 0x8F;
        return overlong || surrogate || beyond ? 0 : len;
}

bool hl_utf8_valid(const char *bytes, size_t len)
{
        for (size_t i = 0; i < len;) {
                size_t n = hl_utf8_char(bytes + i, len - i);
                if (!n)
                        return false;
                i += n;
        }
        return true;
}

/* Controls, spaces, and what Unicode calls "default ignorable" or "format": without a mark on the screen, two names
 * would look like one. */
static bool is_unseen(uint32_t c)
{
        static const struct {
                uint32_t first, last;
        } unseen[] = {
                { 0, 0x20 },        { 0x7F, 0xA0 },     { 0xAD, 0xAD },     { 0x34F, 0x34F },   { 0x61C, 0x61C },
                { 0x115F, 0x1160 }, { 0x1680, 0x1680 }, { 0x17B4, 0x17B5 }, { 0x180B, 0x180F }, { 0x2000, 0x200F },
                { 0x2028, 0x202F }, { 0x205F, 0x206F }, { 0x3000, 0x3000 }, { 0x3164, 0x3164 }, { 0xFE00, 0xFE0F },
                { 0xFEFF, 0xFEFF }, { 0xFFA0, 0xFFA0 }, { 0xFFF0, 0xFFFB }, { 0xFFFE, 0xFFFF }, { 0xE0000, 0xE0FFF },
        };
        for (size_t i = 0; i < HL_COUNT(unseen); i++)
                if (c >= unseen[i].first && c <= unseen[i].last)
                        return true;
        return false;
}

/* The code point of a character that hl_utf8_char() has found. */
static uint32_t code_of(const char *bytes, size_t len)
{
        const unsigned char *b = (const unsigned char *)bytes;
        uint32_t code = len == 1 ? b[0] : b[0] & (0xFFU >> (len + 1));
        for (size_t i = 1; i < len; i++)
                code = code << 6 | (b[i] & 0x3F);
        return code;
}

bool hl_utf8_visible(const char *text)
{
        size_t len = strlen(text), n;
        for (size_t i = 0; i < len; i += n) {
                n = hl_utf8_char(text + i, len - i);
                if (!n || is_unseen(code_of(text + i, n)))
                        return false;
        }
        return len > 0;
}

size_t hl_utf8_put(uint32_t code, char out[static 4])
{
        if (code < 0x80) {
                out[0] = (char)code;
                return 1;
        }
        size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t i = len - 1; i > 0; i--, code >>= 6)
                out[i] = (char)(0x80 | (code & 0x3F));
        out[0] = (char)((0xF00 >> len) | code);
        return len;
}

int hl_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hl_percent_decode(const char *text, size_t len, char **ret_text)
{
        HL_CLEANUP(hl_free_pointer) char *out = hl_alloc(len + 1);
        size_t n = 0;
        for (size_t i = 0; i < len; i++) {
                int c = (unsigned char)text[i];
                if (c == '%') {
                        if (len - i < 3)
                                return -EINVAL;
                        int high = hl_hex_digit(text[i + 1]), low = hl_hex_digit(text[i + 2]);
                        if (high < 0 || low < 0)
                                return -EINVAL;
                        c = high * 16 + low;
                        i += 2;
                }
                if (c == '\0')
                        return -EINVAL;
                out[n++] = (char)c;
        }
        if (!hl_utf8_valid(out, n))
                return -EINVAL;
        *ret_text = hl_steal(out);
        return 0;
}

bool hl_equal_secret(const char *a, const char *b)
{
        size_t len = strlen(a);
        if (len != strlen(b))
                return false;
        volatile unsigned char difference = 0;
        for (size_t i = 0; i < len; i++)
                difference |= (unsigned char)(a[i] ^ b[i]);
        return difference == 0;
}

void hl_copy(char *to, size_t size, const char *text)
{
        size_t len = strnlen(text, size - 1);
        memcpy(to, text, len);
        to[len] = '\0';
}

bool hl_has_prefix(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *hl_next_word(const char **list, size_t *ret_len)
{
        const char *word = *list;
        if (!word || !*word)
                return NULL;
        *ret_len = strcspn(word, ",");
        *list = word + *ret_len + (word[*ret_len] == ',');
        return word;
}

bool hl_in_list(const char *list, const char *word, size_t word_len)
{
        const char *each;
        size_t len;
        while ((each = hl_next_word(&list, &len)))
                if (len == word_len && memcmp(each, word, len) == 0)
                        return true;
        return false;
}

/* Controls; the ends of a line and of a paragraph; embeddings, overrides and isolates of a direction. */
static bool steers(uint32_t c)
{
        return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* The length of the character at text; 0: it is none, or not printable. */
static size_t printable_char(const char *text, size_t left)
{
        size_t len = hl_utf8_char(text, left);
        return len && !steers(code_of(text, len)) ? len : 0;
}

bool hl_is_printable(const char *text)
{
        size_t left = strlen(text), n = 0;
        for (; left > 0; text += n, left -= n)
                if (!(n = printable_char(text, left)))
                        return false;
        return true;
}

void hl_make_printable(char *text)
{
        char *out = text;
        for (size_t left = strlen(text); left > 0;) {
                size_t keep = printable_char(text, left), used = keep ? keep : hl_utf8_char(text, left);
                if (keep)
                        memmove(out, text, keep);
                else
                        *out = '?';
                out += keep ? keep : 1;
                used = used ? used : 1;
                text += used;
                left -= used;
        }
        *out = '\0';
}

char *hl_shorten(const char *text, size_t len, size_t max)
{
        bool valid = hl_utf8_valid(text, len), cut = len > max;
        if (cut)
                len = max;
        while (valid && cut && len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
                len--; /* not in the middle of a character */
        HL_CLEANUP(hl_free_pointer) char *line = hl_strndup(text, len);
        for (char *c = line; *c; c++)
                if (*c == '\n' || *c == '\t')
                        *c = ' ';
        hl_make_printable(line);
        return hl_format("%s%s", line, cut ? "…" : "");
}

bool hl_is_address(const char *text)
{
        struct in6_addr address;
        return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

char *hl_format_host_port(const char *address, uint16_t port, char text[static HL_HOST_PORT_SIZE])
{
        bool ipv6 = strchr(address, ':') != NULL;
        snprintf(text, HL_HOST_PORT_SIZE, "%s%s%s:%u", ipv6 ? "[" : "", address, ipv6 ? "]" : "", port);
        return text;
}
