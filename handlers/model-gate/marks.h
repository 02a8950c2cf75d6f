/* SPDX-License-Identifier: MIT */
/* marks.h - what runs, where no bus can be asked: the marks that systemd leaves for the journal.
 *
 * Shape    as hl_ledger_read(), but each is taken for active. A mark is there from a unit's start until it is inactive
 *          or failed; this is of no published interface, so the bus comes first.
 * Units    begun_us is CLOCK_REALTIME here: it compares with others of the same ledger alone.
 * Errors   -errno/BUSY: there is no folder of marks.
 * Tests    tests/doors/test_gate.py, tests/system/test_capacity.py
 */
#ifndef MODEL_GATE_MARKS_H
#define MODEL_GATE_MARKS_H

#include "models/capacity.h"

int gate_marks_read(const struct hl_catalog *catalog, struct hl_ledger *ret_ledger, struct hl_err *err);

#endif
