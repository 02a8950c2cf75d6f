/* SPDX-License-Identifier: MIT */
/* change.h - start, stop and restart a model, for each route that does.
 *
 * Errors   as every route: 0, or -errno with ctx->err filled.
 * Tests    tests/system/test_models.py, tests/system/test_surfaces.py
 */
#ifndef HL_INFERENCE_SERVICE_CHANGE_H
#define HL_INFERENCE_SERVICE_CHANGE_H

#include "models/stop.h"
#include "service/service.h"
#include "systemd/jobs.h"

/* What is waited for: the end of systemd's job; also the model's answer on its health path; nothing; or a moment, in
 * which the unit's state begins to change. (A switch asks for the state at once, and must not see the old one.) */
enum inference_wait { WAIT_JOB, WAIT_READY, WAIT_NONE, WAIT_BEGUN };

/* "job", "ready", "none". */
enum inference_wait inference_wait_of(const char *word);

/* A place among those who may wait long at once. 0, or -EBUSY. *ret_place: hl_close_fd(). */
int inference_take_place(struct hl_context *ctx, int *ret_place);

/* Carries out a change, once the whole request was found valid. stop: of a model that was drained for it, or NULL. */
int inference_change(struct hl_context *ctx, const struct hl_model *model, enum hl_job_verb verb,
                     enum inference_wait until, struct hl_stop *stop);

#endif
