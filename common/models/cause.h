/* SPDX-License-Identifier: MIT */
/* cause.h - why did a model fail, or why is it not ready? One sentence, for answers.
 *
 * Shape    of one that ended: the line of error that it logged since its start (cause_line.h), or how it ended; of one
 *          that runs: what was seen of its port (listening.h, owner.h). The journal is read only where something
 *          failed: the last lines of one start, and not for long.
 * Units    since_us is CLOCK_REALTIME.
 * Errors   none: where nothing is known there is no cause. Who may not read the journal knows less.
 * Source   systemd.journal-fields(7), systemd.exec(5) for results.
 * Tests    tests/unit/models/test_cause.c, tests/system/test_causes.py
 */
#ifndef HL_MODELS_CAUSE_H
#define HL_MODELS_CAUSE_H

#include "base/err.h"
#include "cause_line.h"
#include "config/catalog.h"
#include "readiness.h"
#include "systemd/bus.h"
#include "systemd/units.h"

#include <stdbool.h>

/* journald may write what a program said last only so long after systemd's word of its end: a busy one needs more than
 * a tenth of a second. */
#define HL_CAUSE_SETTLE_US (UINT64_C(1000) * 1000)
#define HL_CAUSE_LAG_US (UINT64_C(100) * 1000) /* from one look to the next */
#define HL_CAUSE_TRIES 15                      /* on a host that is busy a moment is long */

/* A model's state, and its cause, or "" where it neither failed nor is loading. Its health path is asked once. */
enum hl_model_state hl_cause_of_state(struct hl_bus *bus, const struct hl_model *model, enum hl_unit_state active,
                                      char cause[static HL_CAUSE_SIZE]);

/* Of a start or a wait that began at since_us and failed with err. False: ask again after HL_CAUSE_LAG_US, up to
 * HL_CAUSE_TRIES times, for something better; what is known so far is there. */
bool hl_cause_of_failure(struct hl_bus *bus, const struct hl_model *model, uint64_t since_us, const struct hl_err *err,
                         char cause[static HL_CAUSE_SIZE]);

/* The same, tried as often as that, whatever the wait's deadline, while its client is there. */
void hl_cause_wait_of_failure(struct hl_bus *bus, const struct hl_model *model, uint64_t since_us,
                              const struct hl_err *err, const struct hl_wait *wait, char cause[static HL_CAUSE_SIZE]);

/* Of a unit that ended, as above. */
bool hl_cause_of_end(const char *unit, const struct hl_unit_detail *detail, uint64_t since_us,
                     char cause[static HL_CAUSE_SIZE]);

/* Of one that runs, and whose health path came to this (readiness.h). */
void hl_cause_of_status(const struct hl_model *model, int status, char cause[static HL_CAUSE_SIZE]);

/* Says it in the error's message, too: clients show no more than that. */
void hl_cause_tell(struct hl_err *err, const char *cause);

#endif
