/* SPDX-License-Identifier: MIT */
/* work.h - do a unit's programs work on anything just now?
 *
 * Shape    what its control group has used of CPU, disks and memory is looked at twice: a program that loads a model
 *          uses some of it all the time, one that hangs uses none. All units are looked at in the same time, which ends
 *          as soon as each was seen to work: only who looks at one without any waits for the whole HL_WORK_WINDOW_US.
 * Errors   none: without the unified hierarchy no work is seen.
 * Source   cpu.stat, io.stat, memory.current: https://docs.kernel.org/admin-guide/cgroup-v2.html. A controller that is
 *          not there has no file; cpu.stat is always there.
 * Tests    tests/unit/models/test_work.c, tests/system/test_causes.py
 */
#ifndef HL_MODELS_WORK_H
#define HL_MODELS_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_WORK_WINDOW_US (UINT64_C(1000) * 1000)
#define HL_WORK_CPU_US (UINT64_C(10) * 1000) /* in that window: more than a program needs to turn over in its sleep */
#define HL_WORK_IO_BYTES (UINT64_C(64) * 1024)
#define HL_WORK_MEMORY_BYTES (UINT64_C(1024) * 1024)

/* ret_seen has an item for each unit. */
void hl_work_seen(const char *const *units, size_t count, bool *ret_seen);

#endif
