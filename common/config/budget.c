/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include "base/mem.h"
#include "base/size.h"

#include <stdio.h>

static uint64_t amount(const char *key, const char *text, hl_json_problem_fn *note, void *data)
{
        uint64_t bytes = 0;
        if (text && hl_parse_size(text, &bytes) < 0)
                note(data, key, "must be " HL_SIZE_WORDS);
        return bytes;
}

void hl_budget_read(const hl_json *gpus, const char *memory, uint64_t ret_bytes[static HL_RESOURCES],
                    hl_json_problem_fn *note, void *data)
{
        char numbers[HL_GPUS_MAX][8];
        const char *texts[HL_GPUS_MAX] = { NULL };
        struct hl_json_field fields[HL_GPUS_MAX];
        for (size_t i = 0; i < HL_GPUS_MAX; i++) {
                snprintf(numbers[i], sizeof(numbers[i]), "%zu", i);
                fields[i] = (struct hl_json_field){ numbers[i], HL_JSON_STRING, &texts[i], HL_SIZE_WORDS };
        }
        if (gpus)
                hl_json_read(gpus, "capacity.gpus", fields, HL_GPUS_MAX, note, data);
        for (size_t i = 0; i < HL_GPUS_MAX; i++) {
                HL_CLEANUP(hl_free_pointer) char *key = hl_format("capacity.gpus.%zu", i);
                ret_bytes[i] = amount(key, texts[i], note, data);
        }
        ret_bytes[HL_MEMORY] = amount("capacity.memory", memory, note, data);
}
