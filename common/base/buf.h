/* SPDX-License-Identifier: MIT */
/* buf.h - bytes that grow up to a named limit.
 *
 * Shape    data holds len bytes and, once anything was added, a NUL behind them that len
 *          does not count. { .max = N } is an empty buffer of at most N bytes, and
 *          { 0 } one without a limit.
 * Errors   adding returns 0, or -EMSGSIZE when max would be passed: then nothing is added.
 * Owner    hl_buf_free() gives the memory back and keeps max; data is valid until the
 *          next addition.
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_BUF_H
#define HL_BASE_BUF_H

#include <stddef.h>

struct hl_buf {
        char *data;
        size_t len;
        size_t capacity;
        size_t max; /* 0: no limit */
};

int hl_buf_add(struct hl_buf *buf, const void *bytes, size_t len);
int hl_buf_adds(struct hl_buf *buf, const char *text);
int hl_buf_addf(struct hl_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first len bytes. */
void hl_buf_drop(struct hl_buf *buf, size_t len);

/* Removes the bytes at its end that are in the set. */
void hl_buf_trim(struct hl_buf *buf, const char *set);

void hl_buf_free(struct hl_buf *buf);

#endif
