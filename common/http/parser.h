/* SPDX-License-Identifier: MIT */
/* parser.h - bytes of a connection -> one request. The only user of llhttp.
 *
 * Shape    a pure function over bytes, fed as they arrive; it stops behind the last byte
 *          of a request, so that a pipelined one stays with the caller.
 * Errors   HL_PARSE_BAD: a problem with its status; the connection cannot be used again.
 * Owner    hl_parser_free(). The request being filled is the caller's.
 * Source   RFC 9112; llhttp in its strict mode. On top of it: every limit of request.h, a
 *          Transfer-Encoding other than "chunked", and HTTP/1.0 bodies without a length.
 * Tests    tests/unit/http/test_parser.c, tests/fuzz/fuzz_http.c
 */
#ifndef HL_HTTP_PARSER_H
#define HL_HTTP_PARSER_H

#include "request.h"

struct hl_parser;

enum hl_parse {
        HL_PARSE_MORE,     /* everything was used, and the request is not whole yet */
        HL_PARSE_EXPECT,   /* the same, and the client waits for "100 Continue"; told once */
        HL_PARSE_COMPLETE, /* *ret_used bytes were used */
        HL_PARSE_BAD,
};

struct hl_parser *hl_parser_new(struct hl_request *request);
struct hl_parser *hl_parser_free(struct hl_parser *parser); /* NULL is allowed; returns NULL */

/* ret_problem is written where the answer is HL_PARSE_BAD, ret_used where it is HL_PARSE_COMPLETE. */
enum hl_parse hl_parser_feed(struct hl_parser *parser, const char *bytes, size_t len, size_t *ret_used,
                             struct hl_problem *ret_problem);

bool hl_parser_started(const struct hl_parser *parser); /* any byte of the request was seen */
bool hl_parser_is_http_1_1(const struct hl_parser *parser);
bool hl_parser_keeps_alive(const struct hl_parser *parser); /* of a complete request: may another follow? */

#endif
