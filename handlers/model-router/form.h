/* SPDX-License-Identifier: MIT */
/* form.h - one field of a form as HTML's POST and curl's -d make it: application/x-www-form-urlencoded.
 *
 * Shape    a pure function over the bytes of a whole body; every body is such a form.
 * Rules    those of Python's parse_qsl(): '&' separates, '+' is a space, a '%' that begins no escape means itself. A
 *          name without '=' has the value "". Of a field that appears twice the last counts.
 * Errors   as hl_content_text().
 * Source   https://url.spec.whatwg.org/#application/x-www-form-urlencoded
 * Tests    tests/unit/model-router/test_form.c, tests/doors/test_bodies.py (against Python), tests/fuzz/fuzz_form.c
 */
#ifndef HL_MODEL_ROUTER_FORM_H
#define HL_MODEL_ROUTER_FORM_H

#include <stddef.h>

struct hl_err;

#define HL_FORM_TYPE "application/x-www-form-urlencoded"

/* *ret_value: NULL where there is no such field, else free(). */
int hl_form_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value,
                  struct hl_err *err);

#endif
