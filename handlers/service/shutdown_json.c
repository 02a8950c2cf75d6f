/* SPDX-License-Identifier: MIT */
#include "shutdown_json.h"

#include "base/clock.h"

void hl_shutdown_json_set(hl_json *out, const char *key, const struct hl_shutdown *s)
{
        if (!s->scheduled) {
                hl_json_set(out, key, NULL);
                return;
        }
        uint64_t now_us = hl_clock_realtime(), left_us = hl_us_minus(s->at_us, now_us);
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "scheduled_time", s->at_us);
        hl_json_set_decimal(json, "minutes_from_now", (double)left_us / HL_USEC_PER_MINUTE, 2);
        hl_json_set_time(json, "created_at", s->created_us);
        hl_json_set_string(json, "action", s->action);
        hl_json_set_int(json, "remaining_seconds", (int64_t)((left_us + HL_USEC_PER_SEC - 1) / HL_USEC_PER_SEC));
        hl_json_set_string(json, "source", s->ours ? "api" : "external");
        hl_json_set_string(json, "message", *s->message ? s->message : NULL);
        hl_json_set(out, key, json);
}
