/* SPDX-License-Identifier: MIT */
/* origin.h - the origins of browser pages, as the user names them and as browsers send them.
 *
 * Shape    pure functions over text. A named origin is "scheme://host", "scheme://host:port", "null", "file://", or,
 *          for the pages of programs, whose host may be another one each time, "scheme://" and a * for it.
 * Source   RFC 6454 section 6.2; the serialization of https://html.spec.whatwg.org/#origin: lower case, no default
 *          port, "null" for what has no origin.
 * Tests    tests/unit/base/test_origin.c
 */
#ifndef HL_BASE_ORIGIN_H
#define HL_BASE_ORIGIN_H

#include <stdbool.h>

/* NULL where no browser could send anything else for the page that is meant; else what to write, as the end of a
 * sentence whose subject is the text. */
const char *hl_origin_problem(const char *named);

bool hl_origin_is(const char *named, const char *sent);

#endif
