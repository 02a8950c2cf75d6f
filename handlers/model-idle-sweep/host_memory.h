/* SPDX-License-Identifier: MIT */
/* host_memory.h - what was done about the host: who may switch it off tells so the next time it is asked.
 *
 * Shape    one file, gone at boot. If it is lost, logind still says whose a shutdown is, and one that somebody called
 *          off may be scheduled once more.
 * Units    acted_us is CLOCK_MONOTONIC, 0: never; shutdown_at_us is CLOCK_REALTIME.
 * Errors   hl_host_memory_load() has none: what cannot be read is nothing. Saving: -errno/INTERNAL.
 * Tests    tests/unit/model-idle-sweep/test_host_memory.c
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_MEMORY_H
#define HL_MODEL_IDLE_SWEEP_HOST_MEMORY_H

#include <stdint.h>

struct hl_err;

/* In model-idle-sweep-host.service's RuntimeDirectory=. */
#define HL_HOST_MEMORY_FILE "/run/home-lab-services/model-idle-sweep-host/memory"

struct hl_host_memory {
        uint64_t acted_us;       /* when the host's shutdown was scheduled */
        uint64_t shutdown_at_us; /* for when; 0: it was called off */
};

void hl_host_memory_load(const char *file, struct hl_host_memory *ret_memory);
int hl_host_memory_save(const char *file, const struct hl_host_memory *memory, struct hl_err *err);

#endif
