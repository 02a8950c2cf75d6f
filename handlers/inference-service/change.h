/* SPDX-License-Identifier: MIT */
/* change.h - start, stop and restart a model, for each route that does.
 *
 * Errors   as every route: 0, or -errno with call->err filled.
 * Tests    tests/system/test_models.py, tests/system/test_surfaces.py
 */
#ifndef HL_INFERENCE_SERVICE_CHANGE_H
#define HL_INFERENCE_SERVICE_CHANGE_H

#include "service/service.h"
#include "systemd/jobs.h"

/* What is waited for: the end of systemd's job; the model's answer on its health path too; nothing; or a moment, in which
 * the unit's state begins to change: who asks right behind it, as switches do, shall not see the old one. */
enum inference_wait { WAIT_JOB, WAIT_READY, WAIT_NONE, WAIT_BEGUN };

/* "job", "ready", "none". */
enum inference_wait inference_wait_of(const char *word);

/* The rest of a change, once all that the request says is known to be right. hold: of a model that has nothing in flight,
 * or -1. */
int inference_change(struct hl_context *ctx, const struct hl_model *model, enum hl_job_verb verb,
                     enum inference_wait until, int hold);

#endif
