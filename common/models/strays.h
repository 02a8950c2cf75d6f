/* SPDX-License-Identifier: MIT */
/* strays.h - models that run and have no file: it was moved away, or renamed, while they ran.
 *
 * Shape    what runs, systemd says, and not a folder: one call. Nobody can tell whether a stray is in use, and nobody
 *          stops it.
 * Errors   as in units.h.
 * Tests    tests/unit/models/test_strays.c, tests/system/test_host_idle.py
 */
#ifndef HL_MODELS_STRAYS_H
#define HL_MODELS_STRAYS_H

#include "config/catalog.h"
#include "systemd/bus.h"
#include "systemd/units.h"

typedef void hl_stray_fn(void *data, const char *unit);

/* Tells each stray, of whose unit a process may be there. */
int hl_strays(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog, hl_stray_fn *each,
              void *data, struct hl_err *err);

#endif
