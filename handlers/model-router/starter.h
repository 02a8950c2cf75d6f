/* SPDX-License-Identifier: MIT */
/* starter.h - starts models for those who wait for them: each model once, however many wait.
 *
 * Shape    a hl_starter belongs to one event loop. hl_starter_wait() joins the start of a model that is under way, or
 *          begins one: systemd's job first, then the model's health path until it says that it has loaded. A model that
 *          competes for room gets that first, in its turn (room.h); who has waited for queue_seconds is told so.
 * Errors   how it went comes to `on_done`: an err of kind NONE when the model is ready, else as in jobs.h, room.h and
 *          readiness.h, and then with the cause (cause.h), or "". A model that has been running for longer than its
 *          START_TIMEOUT is not waited for that long again, only for grace_us.
 * Owner    a hl_waiter is gone once it was told; hl_starter_leave() ends it unreported. The start goes on either way:
 *          it is systemd's. The model is copied.
 * Process  one thread. What systemd is asked for is asked at once (milliseconds); what takes long is waited for by the
 *          event loop. `on_done` is called from the event loop, never from hl_starter_wait().
 * Source   sd-event(3); jobs.h, readiness.h, ask.h.
 * Tests    tests/unit/model-router/test_starter.c, tests/system/test_nginx.py
 */
#ifndef HL_MODEL_ROUTER_STARTER_H
#define HL_MODEL_ROUTER_STARTER_H

#include "base/err.h"
#include "config/catalog.h"
#include "systemd/bus.h"

#include <systemd/sd-event.h>

#define HL_STARTER_GRACE_US (UINT64_C(10) * 1000000) /* the product's */

typedef void hl_starter_fn(void *data, const struct hl_err *err, const char *cause);

struct hl_starter;
struct hl_waiter;

/* bus is the caller's, and is attached to the event loop when it is first needed. hl_starter_free() tells nobody. */
struct hl_starter *hl_starter_new(sd_event *event, struct hl_bus *bus, uint64_t grace_us);
void hl_starter_free(struct hl_starter *starter);

/* since_us: when it came, CLOCK_MONOTONIC, which may have been to another router. */
struct hl_waiter *hl_starter_wait(struct hl_starter *starter, const struct hl_model *model, uint64_t since_us,
                                  hl_starter_fn *on_done, void *data);
void hl_starter_leave(struct hl_waiter *waiter);

/* Whether somebody waits for it for whom systemd has not started it yet. */
bool hl_starter_is_starting(const struct hl_starter *starter, const struct hl_model *model);

#endif
