/* SPDX-License-Identifier: MIT */
/* admit.h - may this request use a model: is this host meant, may its page, has its client a key?
 *
 * Shape    asked once for each request that NGINX does not hand to its model at once; fills request->page.
 * Errors   a problem with its status: 401 or 403; 500 where the tokens cannot be read, which is logged.
 * Tests    tests/doors/test_router_admit.py, tests/system/test_keys.py
 */
#ifndef HL_MODEL_ROUTER_ADMIT_H
#define HL_MODEL_ROUTER_ADMIT_H

#include "config/config.h"
#include "request.h"

/* 0, or -EINVAL and a problem. */
int hl_router_admit(const struct hl_config *config, struct hl_router_request *request, struct hl_problem *ret_problem);

#endif
