/* SPDX-License-Identifier: MIT */
/* routes.h - the longer routes of the model monitor service.
 *
 * Errors   as every route: 0, or -errno with ctx->err filled.
 * Tests    tests/system/test_sweep.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_ROUTES_H
#define HL_MODEL_MONITOR_SERVICE_ROUTES_H

#include "service/service.h"

/* GET /models/{model}/why: what the sweep would do with it now, and what it has decided of late. */
int monitor_run_why(struct hl_context *ctx);

/* GET /metrics: Prometheus' text format, of what systemd, the kernel and files say. No model and no GPU notices. */
int monitor_run_metrics(struct hl_context *ctx);

#endif
