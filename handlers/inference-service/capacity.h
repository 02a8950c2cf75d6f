/* SPDX-License-Identifier: MIT */
/* capacity.h - GET /capacity: what the host has for its models, who holds it, and what would fit beside them.
 *
 * Tests    tests/system/test_capacity.py
 */
#ifndef INFERENCE_SERVICE_CAPACITY_H
#define INFERENCE_SERVICE_CAPACITY_H

#include "service/service.h"

int inference_run_capacity(struct hl_context *ctx);

#endif
