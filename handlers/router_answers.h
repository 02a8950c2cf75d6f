/* router_answers.h - what model-router answers: where NGINX goes on with a request, or why it does not.
 *
 * Shape    an answer is sent at once and logged where it is an error.
 * Owner    each takes the request.
 * Source   NGINX's X-Accel-Redirect; the OpenAI API's error object.
 * Tests    tests/doors/test_router_routes.py, tests/system/test_router.py
 */
#ifndef HL_HANDLERS_ROUTER_ANSWERS_H
#define HL_HANDLERS_ROUTER_ANSWERS_H

#include "base/err.h"
#include "doors/fastcgi_request.h"

/* To the location @PLACE_MODEL. header: lines for it, each with its CRLF. */
void hl_router_redirect(struct hl_fastcgi_request *request, const char *place, const char *model, const char *header);

/* An error as the OpenAI API tells it. model may be NULL. */
void hl_router_refuse(struct hl_fastcgi_request *request, int status, const char *type, const char *model,
                      const struct hl_err *err);

/* 503, "model_unavailable". */
void hl_router_refuse_unavailable(struct hl_fastcgi_request *request, const char *model, const struct hl_err *err);

#endif
