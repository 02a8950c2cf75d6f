/* SPDX-License-Identifier: MIT */
/* multipart.h - one field of a form with files, such as an OpenAI client sends with sound.
 *
 * Shape    a pure function over the bytes of a whole body; of what it passes over nothing is copied.
 * Rules    as RFC 2046 has it, and beyond it what Python's email package and Werkzeug read alike: a line ends with
 *          CRLF, LF or CR; headers may be folded. A part with a file name is a file, and no field. Of a field that
 *          appears twice the last counts, as for Starlette and llama.cpp.
 * Errors   -EINVAL/INVALID: "invalid_form" with what is wrong, such as an end that is missing; or as hl_content_text().
 * Source   RFC 7578, RFC 2046 section 5.1.
 * Tests    tests/unit/model-router/test_multipart.c, tests/doors/test_bodies.py (against Python),
 *          tests/fuzz/fuzz_multipart.c
 */
#ifndef HL_MODEL_ROUTER_MULTIPART_H
#define HL_MODEL_ROUTER_MULTIPART_H

#include <stddef.h>

struct hl_err;

#define HL_MULTIPART_TYPE "multipart/form-data"

/* *ret_value: NULL where there is no such field, else free(). */
int hl_multipart_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value,
                       struct hl_err *err);

#endif
