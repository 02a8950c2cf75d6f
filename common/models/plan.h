/* SPDX-License-Identifier: MIT */
/* plan.h - which models have to leave so that another one fits, and whether they may.
 *
 * Shape    a pure function of the configuration, a ledger (capacity.h) and what is known of its holders. Whoever asks
 *          looks, asks, acts, and asks anew: a plan is good for the moment of its facts alone.
 *          Of all sets of models that may leave and make room, the one with the least loss is taken. What a model's
 *          leaving loses is how long it takes to load, over how long it was not used.
 *          Room that is coming (a model stops) is waited for, so that no other has to leave as well.
 * Units    *_us are microseconds.
 * Errors   none.
 * Owner    what a plan says of the holders is written to the facts, which are the caller's.
 * Tests    tests/unit/models/test_plan.c: against a search through all sets
 */
#ifndef HL_MODELS_PLAN_H
#define HL_MODELS_PLAN_H

#include "capacity.h"

/* What is known of one holder. */
struct hl_plan_fact {
        unsigned in_flight;
        bool is_wanted;       /* somebody waits for it, and was not handed on to it yet */
        bool is_coming;       /* it was used a moment ago: a request may be on its way, as if it were in flight */
        bool is_loaded;       /* it has been ready since its start */
        uint64_t resident_us; /* since it was */
        uint64_t idle_us;     /* since it was used last; HL_USEC_INFINITY: it was not, since its start */
        uint64_t load_us;     /* how long it takes to load; 0: not known */

        bool leaves; /* of the plan: it is to be stopped. Of WAIT: it is to be held up, and its requests end */
};

enum hl_plan {
        HL_PLAN_START, /* it fits */
        HL_PLAN_EVICT, /* stop those that leave, then look again */
        HL_PLAN_WAIT,
        HL_PLAN_NEVER, /* as HL_FIT_NEVER */
};

/* facts has an item for each holder. is_starving: the model has waited for so long that busy ones are to be held up: of
 * WAIT, those which make room once their requests have ended. Nobody's `ignored` must be set; they are not at the end,
 * either. */
enum hl_plan hl_plan_make(const struct hl_config *config, const struct hl_ledger *ledger, struct hl_plan_fact *facts,
                          const struct hl_model *model, bool is_starving);

/* What its leaving loses; greater is more. At least 1, so that nobody leaves for nothing. */
uint64_t hl_plan_loss(const struct hl_plan_fact *fact);

#endif
