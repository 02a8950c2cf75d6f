/* activity.h - when a model was last used: the modification time of one file.
 *
 * Shape    STATE_DIRECTORY/activity/NAME; touching it is atomic and survives everything of
 *          ours. Names come from the catalogue, never from a request.
 * Units    *_us are CLOCK_REALTIME microseconds; 0: never.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Tests    tests/unit/test_activity.c
 */
#ifndef HL_LAB_ACTIVITY_H
#define HL_LAB_ACTIVITY_H

#include <stdint.h>

struct hl_err;

int hl_activity_touch(const char *model, struct hl_err *err);
uint64_t hl_activity_last(const char *model);

#endif
