/* SPDX-License-Identifier: MIT */
/* logs.h - GET /models/{model}/logs: the journal of the model's unit, with what systemd says of it.
 *
 * Errors   as every route: 0, or -errno with ctx->err filled.
 * Tests    tests/system/test_logs.py
 */
#ifndef HL_INFERENCE_SERVICE_LOGS_H
#define HL_INFERENCE_SERVICE_LOGS_H

#include "service/service.h"

int inference_run_logs(struct hl_context *ctx);

#endif
