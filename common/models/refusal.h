/* SPDX-License-Identifier: MIT */
/* refusal.h - a start that the gate has refused: model@.service's ExecCondition=.
 *
 * Shape    systemd ends such a job as "done" and leaves the unit inactive, with the result "exec-condition". But it
 *          forgets that with the unit, which it unloads as soon as nobody uses it. So a unit that is inactive after its
 *          start, and does not fit, was refused. The words are those of the gate, from a look of its own. One that
 *          would fit by now was refused, or has ended by itself: some times it is taken for the former.
 * Errors   "no_capacity" and "model_does_not_fit", as of hl_fail_fit().
 * Process  calls of the bus; reads the models folder.
 * Tests    tests/unit/models/test_refusal.c, tests/system/test_capacity.py
 */
#ifndef HL_MODELS_REFUSAL_H
#define HL_MODELS_REFUSAL_H

#include "config/catalog.h"
#include "systemd/bus.h"

#define HL_REFUSAL_DOUBTS_MAX 3 /* of one start; then it is a model that ends by itself */

/* After a start has failed with *err: whether the gate has refused it. Then *err says so in the failure's place, and is
 * what is returned; else *err stays, and 0 is returned. *doubts counts, from 0, how often that could not be told. */
int hl_refusal_tell(struct hl_bus *bus, const struct hl_config *config, const struct hl_model *model, unsigned *doubts,
                    struct hl_err *err);

#endif
