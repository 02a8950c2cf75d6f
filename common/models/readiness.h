/* SPDX-License-Identifier: MIT */
/* readiness.h - has a model's server finished loading?
 *
 * Shape    the unit says whether a process runs, its health path whether it can answer: servers listen, and answer 503,
 *          long before they are ready. What answers on PORT must not be somebody else's (owner.h). A wait is a loop of
 *          the caller's: hl_readiness_watch_check() is told each answer and, now and then, that there is none.
 * Errors   hl_readiness_wait(): -EIO/UPSTREAM: the unit ended, or it listens elsewhere for certain; -ETIMEDOUT/TIMEOUT:
 *          not in time; -ECANCELED/CANCELLED: the client has left; -EINVAL/CONFLICT: the model has no PORT. BUSY and
 *          INTERNAL as in bus.h. What is behind a failure is told by cause.h.
 * Tests    tests/unit/models/test_probe.c, tests/system/test_models.py, tests/system/test_causes.py
 */
#ifndef HL_MODELS_READINESS_H
#define HL_MODELS_READINESS_H

#include "base/wait.h"
#include "config/catalog.h"
#include "systemd/bus.h"
#include "systemd/units.h"

enum hl_model_state {
        HL_MODEL_UNLOADED,
        HL_MODEL_LOADING,
        HL_MODEL_LOADED,
        HL_MODEL_FAILED,
};

/* "unloaded", "loading", "loaded", "failed": the words of llama.cpp's router. */
const char *hl_model_state_name(enum hl_model_state state);

#define HL_STATUS_LOADING 503 /* as servers answer while they load */

/* Asks the health path of a model whose unit is active: a status, or -errno as in probe.h; -EADDRINUSE: what answers is
 * not the model's. */
int hl_readiness_ask(const struct hl_model *model);

/* What that means. A model that is too busy to answer is loaded, if it ever was since its start. */
enum hl_model_state hl_readiness_meaning(const struct hl_model *model, int status);

/* Both in one, where the unit is active. */
enum hl_model_state hl_readiness_state(const struct hl_model *model, enum hl_unit_state active);

/* Whether the model was seen ready since its unit was started; also where nobody knows when that was. */
bool hl_readiness_was_seen(const struct hl_model *model);

/* Whether a request to its port would come to a program that is not the model's: one that runs may not listen yet. */
bool hl_readiness_is_strangers(const struct hl_model *model);

/* Before a model is started: fails when another user's process listens on its port (-EADDRINUSE/CONFLICT), or when its
 * file cannot be read (as hl_model_readable()). A listener of root's is allowed: a proxy, or a socket unit. */
int hl_readiness_check_port(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err);

/* Whether the health path's answer, a status or -errno, means "loaded". */
bool hl_status_means_ready(int status);

/* -ETIMEDOUT/TIMEOUT: the model runs, and `status` was its last answer. */
int hl_fail_not_ready(const struct hl_model *model, int status, struct hl_err *err);

/* What a wait for one model has seen. */
struct hl_readiness_watch {
        struct hl_bus *bus;
        const struct hl_model *model;
        int status;            /* the last answer of its health path */
        uint64_t elsewhere_us; /* since when it has certainly listened on another port */
        uint64_t looked_us;    /* when its ports were looked at last */
        uint64_t unit_us;      /* when its unit was */
};

/* status: the answer to the question that was asked at asked_us; -EAGAIN: there is none yet. Returns 1: the model is
 * ready; 0: go on waiting; or -errno as above. */
int hl_readiness_watch_check(struct hl_readiness_watch *watch, int status, uint64_t asked_us, struct hl_err *err);

int hl_readiness_wait(struct hl_bus *bus, const struct hl_model *model, const struct hl_wait *wait, struct hl_err *err);

#endif
