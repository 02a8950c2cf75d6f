/* SPDX-License-Identifier: MIT */
/* size.h - amounts of memory, as systemd writes them.
 *
 * Shape    "18G", "17.5G", "512M", "1073741824": K, M, G and T are powers of 1024, and a number alone is bytes.
 * Errors   0, or -EINVAL: no such thing, -ERANGE: nothing at all, more than HL_SIZE_LIMIT, or a number alone that is
 *          less than HL_SIZE_BYTES_MIN: who writes "24" means no bytes. Outputs are untouched on failure.
 * Process  pure functions.
 * Source   systemd.syntax(7), systemd.resource-control(5), MemoryMax=.
 * Tests    tests/unit/base/test_size.c
 */
#ifndef HL_BASE_SIZE_H
#define HL_BASE_SIZE_H

#include <stdint.h>

#define HL_SIZE_LIMIT (UINT64_C(1) << 50) /* bytes: more than any host has, so that sums never overflow */
#define HL_SIZE_BYTES_MIN (UINT64_C(1) << 20)

int hl_parse_size(const char *text, uint64_t *ret_bytes);

/* For people: "18 GiB", "17.5 GiB", "512 MiB", "12 bytes". buffer: HL_SIZE_TEXT bytes. Returns it. */
#define HL_SIZE_TEXT 32
char *hl_format_size(uint64_t bytes, char *buffer);

#endif
