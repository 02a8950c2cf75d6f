/* ready.h - has a model's server finished loading?
 *
 * Shape    the unit says whether a process runs, its health path whether it can answer:
 *          servers listen, and answer 503, long before they are ready.
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   hl_ready_wait(): -EIO/UPSTREAM: the unit ended; -ETIMEDOUT/TIMEOUT: not in
 *          time; -ECANCELED/TIMEOUT: bus->client_fd hung up; -EINVAL/CONFLICT: the model has no PORT. BUSY and INTERNAL as in bus.h.
 * Tests    tests/unit/test_probe.c, tests/system/test_models.py
 */
#ifndef HL_LAB_READY_H
#define HL_LAB_READY_H

#include "bus.h"
#include "catalog.h"
#include "units.h"

enum hl_model_state {
        HL_MODEL_UNLOADED,
        HL_MODEL_LOADING,
        HL_MODEL_LOADED,
        HL_MODEL_FAILED,
};

/* "unloaded", "loading", "loaded", "failed": the words of llama.cpp's router. */
const char *hl_model_state_name(enum hl_model_state state);

/* Asks the health path where the unit is active. One that is too busy to answer is loaded. */
enum hl_model_state hl_ready_state(const struct hl_model *model, enum hl_unit_active active);

/* Before a model is started: somebody else's server on its port would be taken for it. -EADDRINUSE/CONFLICT. (Root's is
 * let be: it may be systemd, which holds the port for the model.) */
int hl_ready_check_port(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err);

/* Whether what the health path was answered with, a status or -errno, means "loaded". */
bool hl_ready_status(int status);

/* -ETIMEDOUT/TIMEOUT: it runs, and this is what it said last. */
int hl_ready_timeout(const struct hl_model *model, int status, struct hl_err *err);

int hl_ready_wait(struct hl_bus *bus, const struct hl_model *model, uint64_t deadline_us, struct hl_err *err);

#endif
