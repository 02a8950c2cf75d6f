/* SPDX-License-Identifier: MIT */
/* json_walk.h - what json-c does not tell: is the grammar strict, on which line is a key,
 * does a key appear twice. Walks the text once; used by json.c alone.
 *
 * Errors   -EINVAL/INVALID with the line and what was expected.
 * Tests    tests/unit/base/test_json.c, tests/fuzz/fuzz_json.c
 */
#ifndef HL_BASE_JSON_WALK_H
#define HL_BASE_JSON_WALK_H

#include <stddef.h>

struct hl_err;

#define HL_JSON_DEPTH_MAX 30 /* below json-c's own 32 */

/* Called for every key with its dotted path and its line; a value other than 0 ends the walk. */
typedef int hl_json_key_fn(void *data, const char *path, unsigned line);

/* The text must be one object. key_fn may be NULL. */
int hl_json_walk(const char *text, size_t len, hl_json_key_fn *key_fn, void *data, struct hl_err *err);

#endif
