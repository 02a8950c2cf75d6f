/* SPDX-License-Identifier: MIT */
/* openapi_schemas.h - what fields and parameters are, as JSON Schema says it.
 *
 * Owner    the caller frees, or hands on, what is returned.
 * Source   https://spec.openapis.org/oas/v3.1.1.html, https://json-schema.org/draft/2020-12
 * Tests    tests/doors/test_openapi.py
 */
#ifndef HL_HTTP_OPENAPI_SCHEMAS_H
#define HL_HTTP_OPENAPI_SCHEMAS_H

#include "base/json.h"
#include "routes.h"

hl_json *hl_openapi_body(const struct hl_route *route);
hl_json *hl_openapi_parameter(const struct hl_parameter *parameter);

/* is_bare: there is no "status": "success" at its top. */
hl_json *hl_openapi_object(const struct hl_reply_field *fields, bool is_bare);

/* Adds the schemas that these fields name, and those that they name in turn. */
void hl_openapi_add_schemas(hl_json *schemas, const struct hl_reply_field *fields);

#endif
