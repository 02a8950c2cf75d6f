/* SPDX-License-Identifier: MIT */
/* states.h - the states of models, as systemd has them.
 *
 * Shape    one call, for what systemd has loaded: what is not in its answer does not run. So a look at all models
 *          costs systemd nothing for those that do not run.
 * Errors   as in units.h.
 * Tests    tests/unit/models/test_states.c, tests/system/test_models.py
 */
#ifndef HL_MODELS_STATES_H
#define HL_MODELS_STATES_H

#include "config/catalog.h"
#include "systemd/bus.h"
#include "systemd/units.h"

/* ret_states has an item for each model. */
int hl_states_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                   enum hl_unit_state *ret_states, struct hl_err *err);

#endif
