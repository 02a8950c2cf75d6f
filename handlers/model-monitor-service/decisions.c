/* SPDX-License-Identifier: MIT */
#include "decisions.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/verdict.h"
#include "systemd/journal.h"

#include <unistd.h>

enum { MESSAGE, MODEL, DECISION, REASON, IDLE_SECONDS, IN_FLIGHT, THRESHOLD_SECONDS, FIELDS };

const char *const monitor_decision_fields[] = { [MESSAGE] = "MESSAGE",
                                                [MODEL] = "HL_MODEL",
                                                [DECISION] = "HL_DECISION",
                                                [REASON] = "HL_REASON",
                                                [IDLE_SECONDS] = "HL_IDLE_SECONDS",
                                                [IN_FLIGHT] = "HL_IN_FLIGHT",
                                                [THRESHOLD_SECONDS] = "HL_THRESHOLD_SECONDS",
                                                [FIELDS] = NULL };

/* _UID is journald's own word: nobody else's lines look like decisions of ours. */
char *monitor_decision_user(void)
{
        return hl_format("_UID=%u", (unsigned)getuid());
}

static void set_number(hl_json *json, const char *key, const char *text)
{
        uint64_t number = 0;
        bool is_known = text && hl_parse_uint(text, INT64_MAX, &number) == 0;
        hl_json_set_int_or_null(json, key, is_known, number);
}

hl_json *monitor_decision_json(const struct hl_journal_entry *entry)
{
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "time", entry->at_us);
        hl_json_set_string(json, "model_name", entry->values[MODEL]);
        hl_json_set_string(json, "decision", entry->values[DECISION]);
        hl_json_set_string(json, "reason", entry->values[REASON]);
        hl_json_set_string(json, "message", entry->values[MESSAGE]);
        set_number(json, "idle_seconds", entry->values[IDLE_SECONDS]);
        set_number(json, "threshold_seconds", entry->values[THRESHOLD_SECONDS]);
        set_number(json, "in_flight", entry->values[IN_FLIGHT]);
        return json;
}
