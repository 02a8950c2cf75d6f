/* SPDX-License-Identifier: MIT */
/* capacity.h - what is in use of the host's GPUs and memory, and whether one more model fits.
 *
 * Shape    the ledger is systemd's word at one instant: who starts, runs or stops still holds what its file claims. No
 *          table of ours is kept. Whether a model fits is a pure function of the configuration and a ledger: who wants
 *          to know what would be without some of the holders sets their `ignored`, and asks again.
 * Units    bytes; begun_us is CLOCK_MONOTONIC.
 * Errors   hl_ledger_read() as in units.h; nothing is known then. The rest cannot fail.
 * Owner    hl_ledger_free(); its models belong to the catalogue, which must outlive it. hl_fit is plain data.
 * Process  two rounds of calls of the bus, the second one only for what runs; no logging, no globals.
 * Tests    tests/unit/models/test_capacity.c, tests/system/test_capacity.py
 */
#ifndef HL_MODELS_CAPACITY_H
#define HL_MODELS_CAPACITY_H

#include "config/catalog.h"
#include "systemd/bus.h"
#include "systemd/units.h"

/* One model that holds what it claims. */
struct hl_holder {
        const struct hl_model *model;
        enum hl_unit_state state; /* STARTING, ACTIVE or STOPPING */
        bool undecided;           /* it starts, and its own gate has not let it through yet */
        uint64_t begun_us;        /* when its start began */
        bool ignored;             /* set by who asks what would be without it; it counts as gone */
        char *note;               /* set by who knows more: "1 request in flight for 40 s"; the ledger's; NULL: none */
};

struct hl_ledger {
        struct hl_holder *holders; /* in the order of the catalogue */
        size_t count;
};

/* By a look of somebody else's: adds a model that is in this state, unless it holds nothing. */
void hl_ledger_add(struct hl_ledger *ledger, const struct hl_model *model, enum hl_unit_state state);

int hl_ledger_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                   struct hl_ledger *ret_ledger, struct hl_err *err);
void hl_ledger_free(struct hl_ledger *ledger);

/* The holder that the unit of this model is; NULL: it does not run. */
struct hl_holder *hl_ledger_find(const struct hl_ledger *ledger, const struct hl_model *model);

/* What all that are not ignored hold of one resource, without `except`, which may be NULL. */
uint64_t hl_ledger_used(const struct hl_ledger *ledger, size_t resource, const struct hl_model *except);

/* Whether the holder is in the way of the model: it shares a group with it, or holds of what the model lacks. Stopping
 * one that is not never helps. */
struct hl_fit;
bool hl_holder_is_in_the_way(const struct hl_holder *holder, const struct hl_model *model, const struct hl_fit *fit);

enum hl_fit_verdict {
        HL_FIT_NOW,   /* start it */
        HL_FIT_LATER, /* once others have stopped */
        HL_FIT_NEVER, /* not even alone beside those that are kept (KEEP=yes) and run */
};

struct hl_fit {
        enum hl_fit_verdict verdict;
        uint64_t lacks[HL_RESOURCES];  /* what has to become free; 0: enough is. Of NEVER: what no stop makes free */
        const struct hl_holder *rival; /* the first that shares a group with it; NULL: none. Of NEVER: a kept one */
};

/* A holder of the model itself does not count: what it holds is its own. */
struct hl_fit hl_fit_of(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model);

const char *hl_fit_name(enum hl_fit_verdict verdict); /* "now", "later", "never": stable, for programs */

/* Why it does not fit, in words with numbers: "gpu 0 has 23 GiB: qwen3-32b (20 GiB, 1 request in flight for 40 s),
 * whisper (2 GiB, kept); gemma-27b needs 18 GiB". Of one that fits it says what is free. free() */
char *hl_fit_explain(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model,
                     const struct hl_fit *fit);

/* The same as the error of who cannot start it: LATER is -EAGAIN/BUSY, "no_capacity", and NEVER is -ENOSPC/CONFLICT,
 * "model_does_not_fit". */
int hl_fail_fit(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model,
                const struct hl_fit *fit, struct hl_err *err);

#endif
