/* SPDX-License-Identifier: MIT */
/* resources_json.h - what models claim of each resource, as the services tell it: one shape, below whichever key.
 *
 * Tests    tests/system/test_capacity.py, tests/system/test_page.py
 */
#ifndef HL_SERVICE_RESOURCES_JSON_H
#define HL_SERVICE_RESOURCES_JSON_H

#include "base/json.h"
#include "models/capacity.h"

/* An array, without those that have no capacity and no claim. The caller's. */
hl_json *hl_resources_json(const struct hl_config *config, const struct hl_ledger *ledger);

#endif
