/* SPDX-License-Identifier: MIT */
/* evicted.h - how often each model had to make room for another one, since the host was started.
 *
 * Shape    the length of the file /run/home-lab-services/evicted/NAME (HL_EVICTED_DIRECTORY in the environment names
 *          another folder): one byte each time, which several processes may add at once. And why, in the journal.
 * Errors   none: it is a number for people, and nothing hangs on it.
 * Tests    tests/unit/models/test_evicted.c
 */
#ifndef HL_MODELS_EVICTED_H
#define HL_MODELS_EVICTED_H

#include <stdint.h>

#define HL_EVICTED_FOLDER "/run/home-lab-services/evicted"
/* Of each eviction in the journal: journalctl MESSAGE_ID=… */
#define HL_EVICTION_MESSAGE_ID "5f0c7d5be1f94ae5a1b44f6e0c8c2d91"

void hl_evicted_count(const char *model);
/* request_id: of who has asked for the room; NULL: none. */
void hl_evicted_log(const char *model, const char *why, const char *request_id);
uint64_t hl_evicted_of(const char *model);

#endif
