/* SPDX-License-Identifier: MIT */
/* json_encoding.h - the UTF-8 of a JSON text, which may be in UTF-16 or UTF-32.
 *
 * Shape    the encoding is told by the first four bytes, as every JSON text begins with ASCII, or by its mark.
 * Errors   -EINVAL: it breaks off within a character, or has one beyond U+10FFFF. -ENOMEM.
 * Source   json.detect_encoding() of Python; RFC 4627 section 3.
 * Tests    tests/unit/model-router/test_json_find.c, tests/doors/test_bodies.py
 */
#ifndef HL_MODEL_ROUTER_JSON_ENCODING_H
#define HL_MODEL_ROUTER_JSON_ENCODING_H

#include <stddef.h>

/* Points *text and *len at the UTF-8 of the text, without its mark: into the text itself where it is UTF-8 already
 * (which is not checked), else into *ret_owned; free(). */
int hl_json_to_utf8(const char **text, size_t *len, char **ret_owned);

#endif
