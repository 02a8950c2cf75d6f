/* SPDX-License-Identifier: MIT */
/* limits.h - what a service counts over all its processes and threads, in /run/home-lab-services/limits/SERVICE.
 *
 * Shape    a place is a file that is locked by who has it, so the kernel frees it, however its process ends. A rate is
 *          a file whose modification time says until when its lines are spent.
 * Units    every_us: a line more each so many microseconds.
 * Errors   where the folder cannot be written nothing is counted: whoever asks has a place, and may speak.
 * Owner    a place is given back by close(); -1 is none.
 * Process  the folder is its user's alone, so nobody else can lock what is in it.
 * Tests    tests/unit/service/test_limits.c, tests/system/test_limits.py
 */
#ifndef HL_SERVICE_LIMITS_H
#define HL_SERVICE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define HL_LIMITS_FOLDER "/run/home-lab-services/limits"

/* Takes one of count places. 0, or -EBUSY: all are taken. */
int hl_limits_take(const char *folder, const char *what, unsigned count, int *ret_place);

/* Whether one more line may be written: at_once of them, and then one each every_us. */
bool hl_limits_rate(const char *folder, const char *what, unsigned at_once, uint64_t every_us);

#endif
