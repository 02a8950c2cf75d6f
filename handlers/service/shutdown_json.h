/* SPDX-License-Identifier: MIT */
/* shutdown_json.h - a scheduled shutdown as the services tell it: one shape, below whichever key.
 *
 * Tests    tests/system/test_shutdown.py, tests/system/test_events.py
 */
#ifndef HL_SERVICE_SHUTDOWN_JSON_H
#define HL_SERVICE_SHUTDOWN_JSON_H

#include "base/json.h"
#include "systemd/shutdown.h"

/* null where nothing is scheduled. */
void hl_shutdown_json_set(hl_json *out, const char *key, const struct hl_shutdown *s);

#endif
