/* SPDX-License-Identifier: MIT */
/* budget.h - "capacity" in config.json: what the host has for its models. Used by config.c alone.
 *
 * Errors   what is wrong is told to `note`, with its dotted key.
 * Source   handlers/README.md, "Configuration".
 * Tests    tests/unit/config/test_claim.c
 */
#ifndef HL_CONFIG_BUDGET_H
#define HL_CONFIG_BUDGET_H

#include "base/json.h"
#include "claim.h"

/* As the file has it. */
struct hl_raw_budget {
        const hl_json *gpus;
        const char *memory;
        double min_residency_seconds, queue_seconds;
};

#define HL_RAW_BUDGET_INIT                                                                                             \
        {                                                                                                              \
                .min_residency_seconds = HL_MIN_RESIDENCY_DEFAULT_SECONDS, .queue_seconds = HL_QUEUE_DEFAULT_SECONDS   \
        }

#define HL_BUDGET_FIELDS 4

void hl_budget_fields(struct hl_raw_budget *raw, struct hl_json_field ret_fields[static HL_BUDGET_FIELDS]);

/* Without is_set: that is for who knows whether the section is there. */
struct hl_capacity_budget hl_budget_finish(const struct hl_raw_budget *raw, hl_json_problem_fn *note, void *data);

#endif
