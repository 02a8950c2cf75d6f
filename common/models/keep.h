/* SPDX-License-Identifier: MIT */
/* keep.h - a model that somebody wants to stay, however idle it is, until a time.
 *
 * Shape    the modification time of the file /run/home-lab-services/keep/NAME (HL_KEEP_DIRECTORY in the environment
 *          names another folder) is that time. Nobody has to end it, and a boot does.
 * Units    *_us are microseconds. The time is CLOCK_MONOTONIC, as of what is idle: no change of the clock moves it, and
 *          it stands still while the host is suspended.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Tests    tests/unit/models/test_keep.c, tests/system/test_page.py
 */
#ifndef HL_MODELS_KEEP_H
#define HL_MODELS_KEEP_H

#include "base/clock.h"
#include "base/listing.h"

struct hl_err;

#define HL_KEEP_MAX_US (7 * 24 * 60 * HL_USEC_PER_MINUTE)

/* For span_us from now, at most HL_KEEP_MAX_US, instead of the time before. 0 ends it. */
int hl_keep(const char *model, uint64_t span_us, struct hl_err *err);

/* 0: it is not kept. */
uint64_t hl_keep_left(const char *model);

/* The models that may be kept. */
struct hl_listing hl_keep_list(void);

#endif
