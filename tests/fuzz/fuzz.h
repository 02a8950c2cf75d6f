/* SPDX-License-Identifier: MIT */
/* fuzz.h - what the fuzz targets share.
 *
 * Shape    a target is one function of bytes that must return. fuzz_must() says what has to hold for all of them.
 *          Some targets put functions of their own in the place of others (tests/tests.mk: --wrap).
 */
#ifndef HL_TESTS_FUZZ_FUZZ_H
#define HL_TESTS_FUZZ_FUZZ_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_must(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void fuzz_fail(const char *text, const char *file, int line)
{
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
        abort();
}

/* The input, taken piece by piece. */
struct fuzz_input {
        const uint8_t *data;
        size_t left;
};

static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
        if (input->left == 0)
                return 0;
        input->left--;
        return *input->data++;
}

/* What stands before the next line break, and the line break taken too. False at the end. */
static inline bool fuzz_line(struct fuzz_input *input, const char **ret_line, size_t *ret_len)
{
        if (input->left == 0)
                return false;
        size_t len = 0;
        while (len < input->left && input->data[len] != '\n')
                len++;
        *ret_line = (const char *)input->data;
        *ret_len = len;
        len += len < input->left;
        input->data += len;
        input->left -= len;
        return true;
}

/* For readers of files: the text that hl_read_file() gives, as the real one would. */
static inline int fuzz_give(const void *text, size_t len, size_t max, struct hl_buf *buf)
{
        if (len > max)
                return -27; /* EFBIG */
        if (len > 0)
                hl_buf_add(buf, text, len);
        return 0;
}

#endif
