/* SPDX-License-Identifier: MIT */
/* evicted.h - how often each model had to make room for another one, since the host was started.
 *
 * Shape    the length of the file /run/home-lab-services/evicted/NAME (HL_EVICTED_DIRECTORY in the environment names
 *          another folder): one byte each time, which several processes may add at once.
 * Errors   none: it is a number for people, and nothing hangs on it.
 * Tests    tests/unit/models/test_evicted.c
 */
#ifndef HL_MODELS_EVICTED_H
#define HL_MODELS_EVICTED_H

#include <stdint.h>

#define HL_EVICTED_FOLDER "/run/home-lab-services/evicted"

void hl_evicted_count(const char *model);
uint64_t hl_evicted_of(const char *model);

#endif
