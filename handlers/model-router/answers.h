/* SPDX-License-Identifier: MIT */
/* answers.h - what model-router answers: where NGINX goes on with a request, or why it does not.
 *
 * Shape    an answer is sent at once, and logged where it is an error. A page that may read it is told so. An error has
 *          the shape of the OpenAI API.
 * Owner    each takes the request.
 * Source   NGINX's X-Accel-Redirect; the OpenAI API's error object.
 * Tests    tests/doors/test_router_routes.py, tests/system/test_router.py
 */
#ifndef HL_MODEL_ROUTER_ANSWERS_H
#define HL_MODEL_ROUTER_ANSWERS_H

#include "base/err.h"
#include "http/response.h"
#include "request.h"

#include <stdint.h>

/* To the location @hl_PLACE, for this model, with further lines, each with its CRLF, for it. NGINX has the address. */
void hl_router_redirect(struct hl_router_request *request, const char *place, const char *model, uint16_t port,
                        const char *headers);

/* To the model, which is ready. What a browser must be told of the answer, for a page of another origin, is NGINX's. */
void hl_router_run(struct hl_router_request *request, const char *model, uint16_t port);

/* An answer of our own. Frees what the response holds. */
void hl_router_answer(struct hl_router_request *request, struct hl_response *response);

/* What is wrong with the request, with the status of the problem or of the error's kind. */
void hl_router_refuse_problem(struct hl_router_request *request, const struct hl_problem *problem);
void hl_router_refuse(struct hl_router_request *request, const struct hl_err *err);

/* What is wrong with the model: 503 whatever the kind, because clients try that again; model may be "". */
void hl_router_refuse_unavailable(struct hl_router_request *request, const char *model, const struct hl_err *err);

/* The same with the status of the kind: the model had the request and did not answer it, 502 or 504; or it will never
 * fit, 409. */
void hl_router_refuse_interrupted(struct hl_router_request *request, const char *model, const struct hl_err *err);

#endif
