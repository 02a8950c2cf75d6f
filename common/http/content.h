/* SPDX-License-Identifier: MIT */
/* content.h - what Content-Type, Content-Disposition and Content-Encoding say, and a field's text.
 *
 * Shape    pure functions. A header's value is "word; name=value; name=\"value\"", in any case and order.
 * Errors   0 or -EINVAL/INVALID "invalid_value" with a sentence naming the field.
 * Source   RFC 9110 sections 5.6.6 and 8.3; RFC 2231 for name*=, which is read as Python's email package does.
 * Tests    tests/unit/http/test_content.c
 */
#ifndef HL_HTTP_CONTENT_H
#define HL_HTTP_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

struct hl_err;

#define HL_FIELD_VALUE_MAX 65536 /* bytes of a field of a form, decoded */

/* Whether a Content-Type, which may be NULL, is this one, such as "multipart/form-data". */
bool hl_content_is(const char *content_type, const char *type);

/* application/json, text/json, and all that end with +json. */
bool hl_content_is_json(const char *content_type);

/* True where a Content-Encoding, which may be NULL, leaves the body as it is: "identity", and what people write there
 * who mean a charset. */
bool hl_content_is_unencoded(const char *content_encoding);

/* Fails with UNSUPPORTED "unsupported_content_encoding" for one that does not. */
int hl_content_refuse_encoding(const char *content_encoding, struct hl_err *err);

/* A parameter of a header's value; the first where there are more. NULL: there is none; free(). */
char *hl_content_parameter(const char *value, size_t len, const char *name);

/* The value of the field `name` as UTF-8; the charset is one of Content-Type, or NULL. Beside UTF-8 only ISO-8859-1 and
 * its Windows name are known: no charset that a client names reaches a table of the C library. *ret_value: free(). */
int hl_content_text(const char *bytes, size_t len, const char *charset, const char *name, char **ret_value,
                    struct hl_err *err);

#endif
