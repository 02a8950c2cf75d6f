/* SPDX-License-Identifier: MIT */
/* last_use.h - when a model was last used: the two times of one empty file.
 *
 * Shape    STATE_DIRECTORY/activity/NAME. Its modification time is the last activity. Its access time, which an empty
 *          file has no use for, is the same instant on CLOCK_MONOTONIC: so an age does not run while the host is
 *          suspended, and no change of the clock moves it. Both are set by one system call, that is atomic and
 *          survives everything of ours. Names come from the catalogue, never from a request.
 * Units    *_us are microseconds; at_us is CLOCK_REALTIME, 0: never.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Process  hl_last_use_record() waits while somebody holds the model: see hl_last_use_lock().
 * Tests    tests/unit/models/test_last_use.c
 */
#ifndef HL_MODELS_LAST_USE_H
#define HL_MODELS_LAST_USE_H

#include "base/clock.h"
#include "base/listing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hl_err;

struct hl_last_use {
        uint64_t at_us;
        uint64_t age_us;   /* while the host was awake; HL_USEC_INFINITY: there was none */
        bool needs_rebase; /* somebody else set the time in this boot: the age is at least age_us */
};

/* A request that was noted so shortly ago may be on its way to the model. */
#define HL_LAST_USE_ANNOUNCED_US HL_USEC_PER_SEC

int hl_last_use_record(const char *model, struct hl_err *err);

/* The same of a name that was a model's before: where there is no file yet, none is made. */
int hl_last_use_record_known(const char *model, struct hl_err *err);

/* The same of something that happened age_us ago; nothing, where something later is known. */
int hl_last_use_record_past(const char *model, uint64_t age_us, struct hl_err *err);

/* From now on a time that needs_rebase ages like any other. One that lies in the future, as after a clock was set back,
 * is now. */
int hl_last_use_rebase(const char *model, struct hl_err *err);

void hl_last_use_read(const char *model, struct hl_last_use *ret_activity);
uint64_t hl_last_use_at(const char *model); /* at_us alone */
struct hl_listing hl_last_use_list(void);   /* the models of which there may be one */

/* Keeps records of the model waiting until *ret_fd is closed. Only a stop does that: stop.h says why. */
int hl_last_use_lock(const char *model, int *ret_fd, struct hl_err *err);

#endif
