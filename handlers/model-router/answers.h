/* SPDX-License-Identifier: MIT */
/* answers.h - what model-router answers: where NGINX goes on with a request, or why it does not.
 *
 * Shape    an answer is sent at once, and logged where it is an error. A page that may read it is told so.
 * Owner    each takes the request.
 * Source   NGINX's X-Accel-Redirect; the OpenAI API's error object.
 * Tests    tests/doors/test_router_routes.py, tests/system/test_router.py
 */
#ifndef HL_MODEL_ROUTER_ANSWERS_H
#define HL_MODEL_ROUTER_ANSWERS_H

#include "base/err.h"
#include "http/response.h"
#include "request.h"

/* To the location @PLACE, with these lines, each with its CRLF, for it. */
void hl_router_redirect(struct hl_router_request *request, const char *place, const char *headers);

/* To the location @PLACE_MODEL. */
void hl_router_redirect_to(struct hl_router_request *request, const char *place, const char *model,
                           const char *headers);

/* An answer of our own. Frees what the response holds. */
void hl_router_answer(struct hl_router_request *request, struct hl_response *response);

/* An error as the OpenAI API tells it. model may be NULL. */
void hl_router_refuse(struct hl_router_request *request, int status, const char *type, const char *model,
                      const struct hl_err *err);

/* The same of what a request says, by the kind of error: 400, 404, 409, 413 or 415. */
void hl_router_refuse_request(struct hl_router_request *request, const struct hl_err *err);

/* 503, "model_unavailable". */
void hl_router_refuse_unavailable(struct hl_router_request *request, const char *model, const struct hl_err *err);

/* What the guard says. */
void hl_router_refuse_problem(struct hl_router_request *request, const struct hl_problem *problem);

#endif
