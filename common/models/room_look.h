/* SPDX-License-Identifier: MIT */
/* room_look.h - all that a plan for one model is made of, at one moment. Used by room.c alone.
 *
 * Errors   as in config.h, catalog.h, capacity.h and usage.h.
 * Owner    hl_room_look_free(); what a look points to is its own.
 * Process  as usage.h observes: no model is asked anything.
 * Tests    tests/unit/models/test_room.c
 */
#ifndef HL_MODELS_ROOM_LOOK_H
#define HL_MODELS_ROOM_LOOK_H

#include "plan.h"
#include "queue.h"

struct hl_room_look {
        struct hl_config config;
        struct hl_catalog catalog;
        const struct hl_model *model; /* as its file is now; NULL: there is none any more */
        struct hl_ledger ledger;      /* with notes */
        struct hl_plan_fact *facts;   /* one for each holder */
        struct hl_queued *queued;
        size_t queued_count;
};

/* Whether the asker holds this model up, and for long enough. */
typedef bool hl_room_held_fn(void *data, const char *model);

/* Only what is needed: where the model is in nobody's way, its `model` alone. */
int hl_room_look(struct hl_bus *bus, const char *model, const struct hl_ticket *ticket, hl_room_held_fn *is_held,
                 void *data, struct hl_room_look *ret_look, struct hl_err *err);
void hl_room_look_free(struct hl_room_look *look);

/* Whether it competes with anybody, so that room has to be made. */
bool hl_room_look_matters(const struct hl_room_look *look);

/* Who came before and waits for something of the same; NULL: nobody. */
const struct hl_queued *hl_room_look_before(const struct hl_room_look *look);

#endif
