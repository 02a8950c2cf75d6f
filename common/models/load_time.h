/* SPDX-License-Identifier: MIT */
/* load_time.h - how long a model takes from its start until it has loaded: one file time for each that competes for
 * room.
 *
 * Shape    STATE_DIRECTORY/load/NAME. Its modification time is that span, since 1970.
 * Units    microseconds; 0: not known.
 * Errors   none: what cannot be written down is not known.
 * Tests    tests/unit/models/test_load_time.c
 */
#ifndef HL_MODELS_LOAD_TIME_H
#define HL_MODELS_LOAD_TIME_H

#include <stdint.h>

void hl_load_time_record(const char *model, uint64_t span_us);
uint64_t hl_load_time_of(const char *model);

#endif
