/* SPDX-License-Identifier: MIT */
/* budget.h - the amounts of "capacity" in config.json: what the host has for its models. Used by config.c alone.
 *
 * Errors   what is wrong is told to `note`, with its dotted key, and left at 0: no limit.
 * Source   handlers/README.md, "Configuration".
 * Tests    tests/unit/config/test_claim.c
 */
#ifndef HL_CONFIG_BUDGET_H
#define HL_CONFIG_BUDGET_H

#include "base/json.h"
#include "claim.h"

#define HL_SIZE_WORDS "an amount such as \"23G\", with K, M, G or T"

/* gpus: an object with an amount for each number of a GPU; NULL: none. memory: an amount; NULL: none. */
void hl_budget_read(const hl_json *gpus, const char *memory, uint64_t ret_bytes[static HL_RESOURCES],
                    hl_json_problem_fn *note, void *data);

#endif
