/* SPDX-License-Identifier: MIT */
/* cut.h - answers requests that a model had and did not answer, with the cause.
 *
 * Shape    systemd learns of a program's end a moment after its connections are closed, and the journal what it said
 *          last a moment after that: so an answer waits for these, for less than a second.
 * Errors   the answer is 502, or 504 where the model did not answer in time.
 * Owner    a request is taken. hl_router_cuts_end() answers all that still wait.
 * Tests    tests/system/test_causes.py
 */
#ifndef HL_MODEL_ROUTER_CUT_H
#define HL_MODEL_ROUTER_CUT_H

#include "config/catalog.h"
#include "request.h"
#include "systemd/bus.h"

#include <sys/queue.h>
#include <systemd/sd-event.h>

struct hl_router_cuts {
        sd_event *event;
        struct hl_bus *bus;
        LIST_HEAD(hl_router_cut_list, hl_router_cut) list;
};

void hl_router_refuse_cut(struct hl_router_cuts *cuts, struct hl_router_request *request, const struct hl_model *model);
void hl_router_cuts_end(struct hl_router_cuts *cuts);

#endif
