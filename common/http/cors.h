/* SPDX-License-Identifier: MIT */
/* cors.h - what lets a browser give our answers to a page that came from elsewhere.
 *
 * Shape    pure: the caller asks only for pages that hl_guard_page() calls HL_PAGE_NAMED.
 * Source   https://fetch.spec.whatwg.org/#http-cors-protocol, and for the private network
 *          https://wicg.github.io/private-network-access/
 * Tests    tests/unit/http/test_cors.c
 */
#ifndef HL_HTTP_CORS_H
#define HL_HTTP_CORS_H

#include "request.h"
#include "response.h"

#define HL_CORS_MAX_AGE_SECONDS 600 /* how long a browser may go on without asking again */

/* The page may read this answer, errors too. */
void hl_cors_add(const struct hl_request *request, struct hl_response *response);

/* Whether a browser asks, on behalf of a page, what it may send. It never has a token. */
bool hl_cors_is_preflight(const struct hl_request *request);

/* 204: the page may send what it likes; routes, scopes and methods are judged when it does. Without hl_cors_add()'s
 * part. */
void hl_cors_preflight(const struct hl_request *request, struct hl_response *response);

#endif
