/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "config.h"

#include <stdio.h>
#include <string.h>

#define SIZE_WORDS "an amount such as \"23G\", with K, M, G or T"
#define SECONDS_WORDS "a number of seconds from 0 to 3600"

void hl_budget_fields(struct hl_raw_budget *raw, struct hl_json_field ret_fields[static HL_BUDGET_FIELDS])
{
        const struct hl_json_field fields[HL_BUDGET_FIELDS] = {
                { "gpus", HL_JSON_OBJECT, &raw->gpus, "an object such as {\"0\": \"23G\"}" },
                { "memory", HL_JSON_STRING, &raw->memory, SIZE_WORDS },
                { "min_residency_seconds", HL_JSON_NUMBER, &raw->min_residency_seconds, SECONDS_WORDS, 0,
                  HL_START_TIMEOUT_MAX_SECONDS },
                { "queue_seconds", HL_JSON_NUMBER, &raw->queue_seconds, SECONDS_WORDS, 0,
                  HL_START_TIMEOUT_MAX_SECONDS },
        };
        memcpy(ret_fields, fields, sizeof(fields));
}

static uint64_t amount(const char *key, const char *text, hl_json_problem_fn *note, void *data)
{
        uint64_t bytes = 0;
        if (text && hl_parse_size(text, &bytes) < 0)
                note(data, key, "must be " SIZE_WORDS);
        return bytes;
}

struct hl_capacity_budget hl_budget_finish(const struct hl_raw_budget *raw, hl_json_problem_fn *note, void *data)
{
        struct hl_capacity_budget budget = {
                .min_residency_us = (uint64_t)(raw->min_residency_seconds * (double)HL_USEC_PER_SEC),
                .queue_us = (uint64_t)(raw->queue_seconds * (double)HL_USEC_PER_SEC),
        };
        char numbers[HL_GPUS_MAX][8];
        const char *texts[HL_GPUS_MAX] = { NULL };
        struct hl_json_field fields[HL_GPUS_MAX];
        for (size_t i = 0; i < HL_GPUS_MAX; i++) {
                snprintf(numbers[i], sizeof(numbers[i]), "%zu", i);
                fields[i] = (struct hl_json_field){
                        .key = numbers[i], .kind = HL_JSON_STRING, .out = &texts[i], .expected = SIZE_WORDS
                };
        }
        if (raw->gpus)
                hl_json_read(raw->gpus, "capacity.gpus", fields, HL_GPUS_MAX, note, data);
        for (size_t i = 0; i < HL_GPUS_MAX; i++) {
                HL_CLEANUP(hl_free_pointer) char *key = hl_format("capacity.gpus.%zu", i);
                budget.bytes[i] = amount(key, texts[i], note, data);
        }
        budget.bytes[HL_MEMORY] = amount("capacity.memory", raw->memory, note, data);
        return budget;
}
