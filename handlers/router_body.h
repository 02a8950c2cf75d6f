/* router_body.h - which model a request of the OpenAI API is for: "model" of its body, JSON or a form.
 *
 * Errors   INVALID; -EFBIG where the body is too long.
 * Tests    tests/doors/test_router_routes.py, tests/system/test_router.py
 */
#ifndef HL_HANDLERS_ROUTER_BODY_H
#define HL_HANDLERS_ROUTER_BODY_H

#include "doors/fastcgi_request.h"

struct hl_err;

/* Reads the whole body. *ret_name: free() */
int hl_router_find_model(struct hl_fastcgi_request *request, char **ret_name, struct hl_err *err);

#endif
