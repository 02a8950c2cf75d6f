/* SPDX-License-Identifier: MIT */
/* decisions.h - what the sweep has decided, as the journal has it.
 *
 * Tests    tests/system/test_sweep.py, tests/system/test_events.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_DECISIONS_H
#define HL_MODEL_MONITOR_SERVICE_DECISIONS_H

#include "base/json.h"
#include "models/verdict.h"
#include "systemd/journal.h"

#define MONITOR_DECISION_ID "MESSAGE_ID=" HL_SWEEP_MESSAGE_ID

/* With MONITOR_DECISION_ID, which entries are decisions: the user who may decide. free() */
char *monitor_decision_user(void);

/* What a decision is made of, for a query of the journal. */
extern const char *const monitor_decision_fields[];

/* The caller's. */
hl_json *monitor_decision_json(const struct hl_journal_entry *entry);

#endif
