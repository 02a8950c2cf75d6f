/* SPDX-License-Identifier: MIT */
/* routes.h - the longer routes of the model monitor service, and what all of them answer.
 *
 * Errors   as every route: 0, or -errno with ctx->err filled.
 * Tests    tests/system/test_sweep.py, tests/system/test_events.py, tests/system/test_history.py,
 *          tests/doors/test_openapi.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_ROUTES_H
#define HL_MODEL_MONITOR_SERVICE_ROUTES_H

#include "service/service.h"

/* GET /models/{model}/why: what the sweep would do with it now, and what it has decided of late. */
int monitor_run_why(struct hl_context *ctx);

/* GET /metrics: Prometheus' text format, of what systemd, the kernel and files say. No model and no GPU notices. */
int monitor_run_metrics(struct hl_context *ctx);

/* GET /events: how the models and the shutdown are and what the sweep decides, told as it changes. */
int monitor_run_events(struct hl_context *ctx);

/* GET /models/{model}/history: since when and until when the model ran of late. */
int monitor_run_history(struct hl_context *ctx);
extern const struct hl_parameter monitor_history_query[];

#define MONITOR_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define MONITOR_EVENTS_TYPE "text/event-stream"

/* What the routes answer, for their table. */
extern const struct hl_reply_field monitor_reply_active[], monitor_reply_idle[], monitor_reply_activity[],
        monitor_reply_why[], monitor_reply_report[], monitor_reply_health[], monitor_reply_history[];
extern const struct hl_route_error monitor_errors_all[], monitor_errors_why[], monitor_errors_report[],
        monitor_errors_events[];

#endif
