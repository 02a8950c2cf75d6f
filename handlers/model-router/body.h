/* SPDX-License-Identifier: MIT */
/* body.h - which model a request of the OpenAI API names in its body.
 *
 * Shape    JSON, multipart/form-data, or application/x-www-form-urlencoded, whole in memory while it is looked at. A
 *          body of another type is read as JSON where it begins like an object: "curl -d" calls all it sends a form.
 * Errors   INVALID: malformed, by its form's own code, or "model" is no string. UNSUPPORTED:
 *          "unsupported_content_encoding". TOO_LARGE: "body_too_large", where there is no memory for it; NGINX has
 *          refused what is above the site's client_max_body_size.
 * Source   OpenAI API reference.
 * Tests    tests/doors/test_router_routes.py, tests/doors/test_bodies.py
 */
#ifndef HL_MODEL_ROUTER_BODY_H
#define HL_MODEL_ROUTER_BODY_H

#include "request.h"

struct hl_err;

#define HL_ROUTER_BODY_SHORT_MAX 65536 /* bytes that are read in no time: NGINX has all of them, and has sent them */

/* Whether reading it takes long enough for others to notice. */
bool hl_router_body_is_long(const struct hl_router_request *request);

/* *ret_name: NULL where the body is empty or names no model, else free(). */
int hl_router_find_model(const struct hl_router_request *request, char **ret_name, struct hl_err *err);

#endif
