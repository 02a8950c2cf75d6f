/* SPDX-License-Identifier: MIT */
#include "size.h"

#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 16 /* of each part of a number: more than any amount has */

static const char units[] = "KMGT"; /* each 1024 times the one before it */

/* The digits from text on, as a number; how many there are. */
static size_t read_digits(const char *text, uint64_t *ret_value)
{
        size_t count = 0;
        for (*ret_value = 0; isdigit((unsigned char)text[count]); count++)
                if (count < DIGITS_MAX)
                        *ret_value = *ret_value * 10 + (uint64_t)(text[count] - '0');
        return count;
}

int hl_parse_size(const char *text, uint64_t *ret_bytes)
{
        uint64_t whole = 0, part = 0, scale = 1, unit = 1;
        size_t count = read_digits(text, &whole), digits = 0;
        if (count == 0)
                return -EINVAL;
        text += count;
        if (*text == '.') {
                digits = read_digits(text + 1, &part);
                if (digits == 0 || digits > DIGITS_MAX)
                        return -EINVAL;
                text += 1 + digits;
        }
        const char *letter = *text ? strchr(units, *text) : NULL;
        for (const char *c = units; letter && c <= letter; c++)
                unit *= 1024;
        if ((*text && !letter) || (letter && text[1]) || (digits > 0 && !letter))
                return -EINVAL;
        for (size_t i = 0; i < digits; i++)
                scale *= 10;
        if (count > DIGITS_MAX || whole > HL_SIZE_LIMIT / unit)
                return -ERANGE;
        uint64_t bytes = whole * unit + (uint64_t)((double)part / (double)scale * (double)unit);
        if (bytes == 0 || bytes > HL_SIZE_LIMIT || (unit == 1 && bytes < HL_SIZE_BYTES_MIN))
                return -ERANGE;
        *ret_bytes = bytes;
        return 0;
}

char *hl_format_size(uint64_t bytes, char *buffer)
{
        uint64_t unit = 1;
        size_t i = 0;
        for (; units[i] && bytes / unit >= 1024; i++)
                unit *= 1024;
        if (i == 0) {
                snprintf(buffer, HL_SIZE_TEXT, "%" PRIu64 " bytes", bytes);
                return buffer;
        }
        uint64_t tenths = bytes % unit * 10 / unit;
        if (tenths == 0)
                snprintf(buffer, HL_SIZE_TEXT, "%" PRIu64 " %ciB", bytes / unit, units[i - 1]);
        else
                snprintf(buffer, HL_SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %ciB", bytes / unit, tenths, units[i - 1]);
        return buffer;
}
