/* SPDX-License-Identifier: MIT */
/* routes.h - what the routes of the inference service take and answer, for their table and so for GET /openapi.json.
 *
 * Tests    tests/doors/test_openapi.py
 */
#ifndef HL_INFERENCE_SERVICE_ROUTES_H
#define HL_INFERENCE_SERVICE_ROUTES_H

#include "http/fields.h"

#define INFERENCE_TEXT "text/plain; charset=utf-8"
#define INFERENCE_JSON_LINES "application/x-ndjson"

/* Of another API's body this one alone is read. */
extern const struct hl_body_field inference_load_body[1];

extern const struct hl_parameter inference_logs_query[], inference_openai_query[];

extern const struct hl_reply_field inference_reply_models[], inference_reply_running[], inference_reply_load[],
        inference_reply_model[], inference_reply_set[], inference_reply_logs[], inference_reply_change[],
        inference_reply_stop[], inference_reply_term[], inference_reply_openai_models[],
        inference_openai_model_fields[], inference_reply_health[], inference_reply_capacity[];

extern const struct hl_route_error inference_errors_list[], inference_errors_model[], inference_errors_logs[],
        inference_errors_start[], inference_errors_stop[], inference_errors_term[], inference_errors_openai_model[];

#endif
