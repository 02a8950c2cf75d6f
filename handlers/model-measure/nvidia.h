/* SPDX-License-Identifier: MIT */
/* nvidia.h - what nvidia-smi says that a model's processes hold: one call, and none where a card sleeps.
 *
 * Units    bytes.
 * Errors   none: what it does not say is not known. It has a few seconds.
 * Source   nvidia-smi --help-query-compute-apps.
 * Tests    tests/doors/test_measure.py, tests/fuzz/fuzz_held.c
 */
#ifndef MODEL_MEASURE_NVIDIA_H
#define MODEL_MEASURE_NVIDIA_H

#include "models/measured.h"

void measure_nvidia(const char *cgroup, struct hl_measured *measured);

typedef bool measure_is_ours_fn(void *data, const char *pid);
/* Of its answer, "812, 00000000:01:00.0, 5120" on each line, which is changed. */
void measure_nvidia_parse(char *text, measure_is_ours_fn *is_ours, void *data, struct hl_measured *measured);

#endif
