/* SPDX-License-Identifier: MIT */
/* json_find.h - one string of an object that any client may have sent, of any size.
 *
 * Shape    a pure function over the whole text, which it walks once. Of what it passes over nothing is kept and nothing
 *          copied, so time grows with the text's length alone.
 * Rules    those of Python's json.loads() for bytes, which are nlohmann's and more: any of UTF-8, UTF-16 and UTF-32,
 *          with a mark or without; NaN, Infinity and -Infinity are numbers; of a key that appears twice the last
 *          counts. A surrogate that stands alone is kept as UTF-8 would write it, so that it equals no name.
 * Errors   -EINVAL/INVALID: "invalid_json", with line and column, where the text is no object; "invalid_value" where
 *          the value is no string, or longer than HL_JSON_FIND_VALUE_MAX, or has a NUL. -ENOMEM/TOO_LARGE:
 *          "body_too_large", where UTF-16 or UTF-32 is to be made UTF-8.
 * Source   RFC 8259; https://docs.python.org/3/library/json.html, "Standard Compliance and Interoperability".
 * Tests    tests/unit/model-router/test_json_find.c, tests/doors/test_bodies.py (against Python),
 *          tests/fuzz/fuzz_json.c
 */
#ifndef HL_MODEL_ROUTER_JSON_FIND_H
#define HL_MODEL_ROUTER_JSON_FIND_H

#include <stddef.h>

struct hl_err;

#define HL_JSON_FIND_DEPTH_MAX 10000 /* ten times what Python bears; each level is a bit, not a call */
#define HL_JSON_FIND_VALUE_MAX 65536 /* bytes, as they stand in the text */

/* The value of one key, which is ASCII, of the outermost object. *ret_value: NULL where there is no such key, else
 * free(). */
int hl_json_find_string(const char *text, size_t len, const char *key, char **ret_value, struct hl_err *err);

#endif
