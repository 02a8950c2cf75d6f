/* SPDX-License-Identifier: MIT */
/* transfer.h - Content-Transfer-Encoding: base64 and quoted-printable, as mail libraries make the parts of a form.
 *
 * Shape    a pure function. Every encoding but these two leaves the bytes as they are, an unknown one as well.
 * Errors   -EINVAL: this is no base64. Quoted-printable cannot fail: what is no escape means itself.
 * Source   RFC 2045 sections 6.7 and 6.8; Python's email package and Go's mime/multipart decode them, too.
 * Tests    tests/unit/model-router/test_multipart.c
 */
#ifndef HL_MODEL_ROUTER_TRANSFER_H
#define HL_MODEL_ROUTER_TRANSFER_H

#include "base/buf.h"

/* encoding: a header's value, encoding_len long; it may be NULL. Adds the decoded bytes to out. */
int hl_transfer_decode(const char *encoding, size_t encoding_len, const char *bytes, size_t len, struct hl_buf *out);

#endif
