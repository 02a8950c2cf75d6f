/* SPDX-License-Identifier: MIT */
/* state.h - what one sweep tells the next: it has no process in between.
 *
 * Shape    one file in RUNTIME_DIRECTORY, gone at boot. Nothing is decided by it alone: if it is lost, a model whose
 *          request ended between two sweeps is stopped up to one period sooner, and the host is switched off later.
 * Units    *_us are CLOCK_MONOTONIC, 0: never.
 * Errors   hl_sweep_state_load() has none: what cannot be read is not known. Saving: -errno/INTERNAL.
 * Owner    hl_sweep_state_free().
 * Tests    tests/unit/model-idle-sweep/test_state.c
 */
#ifndef HL_MODEL_IDLE_SWEEP_STATE_H
#define HL_MODEL_IDLE_SWEEP_STATE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct hl_err;

struct hl_sweep_state {
        bool known;
        uint64_t suspended_total_us; /* how long the host has been suspended since boot */
        uint64_t resumed_us;
        uint64_t used_us;        /* the last use of any model */
        uint64_t swept_us;       /* when it was written */
        struct hl_buf in_flight; /* models with a request in flight whose end nobody tells: "a,b,c" */
        struct hl_buf by_nginx;  /* others with one: NGINX tells its end, unless its site logs nothing */
        struct hl_buf kept;      /* of all these, those that are over their time */
};

void hl_sweep_state_load(struct hl_sweep_state *ret_memory);
int hl_sweep_state_save(const struct hl_sweep_state *memory, struct hl_err *err);
void hl_sweep_state_free(struct hl_sweep_state *memory);

/* One of the lists. */
bool hl_sweep_state_has(const struct hl_buf *names, const char *model);
void hl_sweep_state_add(struct hl_buf *names, const char *model);

#endif
