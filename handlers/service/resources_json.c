/* SPDX-License-Identifier: MIT */
#include "resources_json.h"

hl_json *hl_resources_json(const struct hl_config *config, const struct hl_ledger *ledger)
{
        hl_json *list = hl_json_new_array();
        char name[HL_RESOURCE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t budget = config->capacity.bytes[i], claimed = hl_ledger_used(ledger, i, NULL);
                if (budget == 0 && claimed == 0)
                        continue;
                hl_json *json = hl_json_new();
                hl_json_set_string(json, "resource", hl_resource_name(i, name));
                hl_json_set_int_or_null(json, "capacity_bytes", budget > 0, budget);
                hl_json_set_int(json, "claimed_bytes", (int64_t)claimed);
                hl_json_set_int_or_null(json, "free_bytes", budget > 0, budget > claimed ? budget - claimed : 0);
                hl_json_push(list, json);
        }
        return list;
}
