/* SPDX-License-Identifier: MIT */
/* parameters.h - whether a request's query parameters are those that its route knows.
 *
 * Errors   0, or -EINVAL and a problem: each parameter is known, has a value that is one of its choices or within its
 *          bounds, and stands once.
 * Tests    tests/unit/http/test_routes.c
 */
#ifndef HL_HTTP_PARAMETERS_H
#define HL_HTTP_PARAMETERS_H

#include "fields.h"
#include "request.h"

/* known: up to a name that is NULL; NULL for none. */
int hl_parameters_check(const struct hl_request *request, const struct hl_parameter *known, struct hl_problem *problem);

#endif
