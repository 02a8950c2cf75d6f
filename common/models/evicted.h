/* SPDX-License-Identifier: MIT */
/* evicted.h - why a model had to make room for another one, in the journal. How often, count.h knows.
 *
 * Tests    tests/system/test_evictions.py
 */
#ifndef HL_MODELS_EVICTED_H
#define HL_MODELS_EVICTED_H

/* Of each eviction in the journal: journalctl MESSAGE_ID=… */
#define HL_EVICTION_MESSAGE_ID "5f0c7d5be1f94ae5a1b44f6e0c8c2d91"

/* request_id: of who has asked for the room; NULL: none. */
void hl_evicted_log(const char *model, const char *why, const char *request_id);

#endif
