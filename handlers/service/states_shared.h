/* SPDX-License-Identifier: MIT */
/* states_shared.h - the states of models, asked for once by all requests that want them at the same time.
 *
 * Shape    who comes while nothing is asked, asks. Who comes meanwhile waits for the next question, which one of them
 *          asks for all. Who came before a question was asked has its answer, however late it is looked for. So an
 *          answer is never older than the request that it is given to, and systemd has one question at a time, however
 *          many clients ask.
 * Errors   as hl_states_read(), told to all who share the question.
 * Owner    *ret_states: free()
 * Process  any thread.
 * Tests    tests/unit/service/test_states_shared.c
 */
#ifndef HL_SERVICE_STATES_SHARED_H
#define HL_SERVICE_STATES_SHARED_H

#include "models/states.h"

/* catalog: whole, as it was loaded: a share of it is kept for who comes next. came_us: as in struct hl_request. */
int hl_states_shared_read(struct hl_bus *bus, const struct hl_config *config, struct hl_catalog *catalog,
                          uint64_t came_us, enum hl_unit_state **ret_states, struct hl_err *err);

#endif
