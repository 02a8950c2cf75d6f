/* SPDX-License-Identifier: MIT */
/* openapi.h - a route table as OpenAPI 3.1 describes it.
 *
 * Shape    what the table says and nothing else, so that the document cannot say what the service does not do. Codes of
 *          errors are in "x-codes": a client must bear those that it does not know.
 * Owner    the caller frees, or hands on, what is returned.
 * Source   https://spec.openapis.org/oas/v3.1.1.html
 * Tests    tests/doors/test_openapi.py
 */
#ifndef HL_HTTP_OPENAPI_H
#define HL_HTTP_OPENAPI_H

#include "base/json.h"
#include "routes.h"

/* behind_site: the request came through NGINX's site, where the routes have another beginning. */
hl_json *hl_openapi_document(const struct hl_routes *routes, bool behind_site);

#endif
