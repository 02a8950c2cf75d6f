/* SPDX-License-Identifier: MIT */
/* routes.h - what the routes of the shutdown service answer, for their table and so for GET /openapi.json.
 *
 * Tests    tests/doors/test_openapi.py
 */
#ifndef HL_SHUTDOWN_SERVICE_ROUTES_H
#define HL_SHUTDOWN_SERVICE_ROUTES_H

#include "http/fields.h"

extern const struct hl_reply_field shutdown_reply_get[], shutdown_reply_set[], shutdown_reply_schedule[],
        shutdown_reply_next[], shutdown_reply_cancel[], shutdown_reply_status[], shutdown_reply_system[],
        shutdown_reply_health[];

extern const struct hl_route_error shutdown_errors_look[], shutdown_errors_change[], shutdown_errors_cancel[];

#endif
