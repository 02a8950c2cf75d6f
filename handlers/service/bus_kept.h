/* SPDX-License-Identifier: MIT */
/* bus_kept.h - connections to the system bus that outlive the request they were opened for.
 *
 * Shape    a request takes one that nobody uses, or opens one when it needs it. Where its answer was no failure it
 *          gives the connection back, for the next. One that broke meanwhile is replaced by hl_bus_open().
 * Owner    the bus of hl_bus_take() is the caller's until hl_bus_give(), which takes over its connection. Those that
 *          are kept end with the process.
 * Process  any thread. A connection is one thread's at a time.
 * Tests    tests/system/test_looks.py
 */
#ifndef HL_SERVICE_BUS_KEPT_H
#define HL_SERVICE_BUS_KEPT_H

#include "systemd/bus.h"

#include <stdbool.h>

struct hl_bus hl_bus_take(void);

/* all_well: no call is left behind that somebody might still answer. */
void hl_bus_give(struct hl_bus *bus, bool all_well);

#endif
