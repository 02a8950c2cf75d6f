/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256
#define USUAL_SIZE 256 /* bytes of what is added by a format, with its NUL; more is no error */

int hl_buf_add(struct hl_buf *buf, const void *bytes, size_t len)
{
        if (len > SIZE_MAX / 2 - buf->len || (buf->max && len > buf->max - buf->len))
                return -EMSGSIZE;

        size_t need = buf->len + len + 1;
        if (need > buf->capacity) {
                size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
                while (capacity < need)
                        capacity *= 2;
                buf->data = hl_grow(buf->data, capacity, 1);
                buf->capacity = capacity;
        }
        if (len)
                memcpy(buf->data + buf->len, bytes, len);
        buf->len += len;
        buf->data[buf->len] = '\0';
        return 0;
}

int hl_buf_adds(struct hl_buf *buf, const char *text)
{
        return hl_buf_add(buf, text, strlen(text));
}

int hl_buf_addf(struct hl_buf *buf, const char *format, ...)
{
        char usual[USUAL_SIZE];
        va_list args;
        va_start(args, format);
        int len = vsnprintf(usual, sizeof(usual), format, args);
        va_end(args);
        if (len >= 0 && (size_t)len < sizeof(usual))
                return hl_buf_add(buf, usual, (size_t)len);
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *text = hl_vformat(format, args);
        va_end(args);
        return hl_buf_adds(buf, text);
}

void hl_buf_drop(struct hl_buf *buf, size_t len)
{
        if (!len)
                return;
        memmove(buf->data, buf->data + len, buf->len - len + 1);
        buf->len -= len;
}

void hl_buf_trim(struct hl_buf *buf, const char *set)
{
        while (buf->len > 0 && memchr(set, buf->data[buf->len - 1], strlen(set)))
                buf->data[--buf->len] = '\0';
}

void hl_buf_free(struct hl_buf *buf)
{
        free(buf->data);
        *buf = (struct hl_buf){ .max = buf->max };
}
