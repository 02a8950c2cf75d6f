/* SPDX-License-Identifier: MIT */
/* load_time.h - how long a model takes from its start until it has loaded: one file time for each that was waited for.
 *
 * Shape    STATE_DIRECTORY/load/NAME. Its modification time is that span, since 1970. And each time a
 *          line in the journal.
 * Units    microseconds; 0: not known.
 * Errors   none: what cannot be written down is not known.
 * Tests    tests/unit/models/test_load_time.c
 */
#ifndef HL_MODELS_LOAD_TIME_H
#define HL_MODELS_LOAD_TIME_H

#include <stdint.h>

/* Of each such line: journalctl MESSAGE_ID=…, with HL_MODEL and HL_LOAD_MS. */
#define HL_LOADED_MESSAGE_ID "1b58f11fd4dd4ffc884400beaa208300"

/* From the start of its unit until it was ready. */
void hl_load_time_record(const char *model, uint64_t span_us);
/* That it is ready now, by the mark of that start; nothing where there is none. */
void hl_load_time_record_now(const char *model, const char *unit);
uint64_t hl_load_time_of(const char *model);

#endif
