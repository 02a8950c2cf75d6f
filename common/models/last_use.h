/* last_use.h - when a model was last used: the two times of one empty file.
 *
 * Shape    STATE_DIRECTORY/activity/NAME. Its modification time is the last activity. Its access time, which an empty
 *          file has no use for, is the same instant on CLOCK_MONOTONIC: so an age does not run while the host is
 *          suspended, and no change of the clock moves it. Both are set by one system call, that is atomic and
 *          survives everything of ours. Names come from the catalogue, never from a request.
 * Units    *_us are microseconds; at_us is CLOCK_REALTIME, 0: never.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Process  hl_activity_touch() waits while somebody holds the model: see hl_activity_hold().
 * Tests    tests/unit/models/test_last_use.c
 */
#ifndef HL_MODELS_LAST_USE_H
#define HL_MODELS_LAST_USE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hl_err;

struct hl_activity {
        uint64_t at_us;
        uint64_t age_us; /* while the host was awake; HL_NEVER: there was none */
        bool adoptable;  /* somebody else set the time in this boot, so what is known of age_us is only its least */
};

int hl_activity_touch(const char *model, struct hl_err *err);

/* The same of something that happened age_us ago; nothing, where something later is known. */
int hl_activity_note(const char *model, uint64_t age_us, struct hl_err *err);

/* From now on an adoptable time ages like any other. One that lies in the future, as after a clock was set back, is now. */
int hl_activity_adopt(const char *model, struct hl_err *err);

void hl_activity_read(const char *model, struct hl_activity *ret_activity);
uint64_t hl_activity_last(const char *model); /* at_us alone */

/* Keeps touches of the model waiting until *ret_fd is closed. Whoever stops a model holds it from his last look until
 * the stop is queued, and whoever hands a request on touches first and looks at the unit afterwards: so either the one
 * sees the touch, or the other sees the stop. */
int hl_activity_hold(const char *model, int *ret_fd, struct hl_err *err);

/* The rest of a stop for which nothing was in flight at the last look: from the queued job until hold is closed touches go
 * on, and a request that was cut has come in that very moment. It is closed HL_ACTIVITY_ECHO_US after the job's end, a
 * time in which NGINX asks about such a request; the kernel forgets the stop should this process end before. */
#define HL_ACTIVITY_ECHO_US (UINT64_C(300) * 1000)
void hl_activity_stop_begun(int hold);
bool hl_activity_is_being_stopped(const char *model);

#endif
