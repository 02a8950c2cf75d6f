/* multipart.h - one field of a form with files, such as an OpenAI client sends with sound.
 *
 * Shape    a pure function over the bytes of a whole body.
 * Errors   -EINVAL: the content type or the body is no well-formed multipart/form-data.
 * Source   RFC 7578, RFC 2046 section 5.1.
 * Tests    tests/unit/test_multipart.c, tests/fuzz/fuzz_multipart.c
 */
#ifndef HL_HTTP_MULTIPART_H
#define HL_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

bool hl_multipart_is(const char *content_type);

/* *ret_value: NULL where there is no such field, else free(). One that appears twice is -EINVAL. */
int hl_multipart_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value);

#endif
