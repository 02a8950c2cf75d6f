/* SPDX-License-Identifier: MIT */
/* room.h - makes room for a model that somebody wants to start, or waits for its turn: the queue and the evictions.
 *
 * Shape    one for each start, from before it until its model was handed on: nobody makes the model leave in between.
 *          Whoever has it calls hl_room_step() until that says that the model may be started, and again after the gate
 *          has refused the start (refusal.h). Every plan looks at the files, systemd and the kernel anew.
 *          First come first served: nobody is planned for while another waits in front of him for something of the
 *          same. Who leaves: plan.h. Each has its turnstile raised (turnstile.h), and is looked at once more after
 *          that. All of them, or none, are told to stop. A model that has waited for half of queue_seconds raises the
 *          turnstiles of busy ones, too: their requests end, and new ones wait.
 *          A model without a claim on anything that is limited is in nobody's way: no file is made and nothing asked.
 * Units    *_us are CLOCK_MONOTONIC.
 * Errors   -ENOSPC/CONFLICT "model_does_not_fit", as of hl_fail_fit(). What fails otherwise (systemd is busy, a file
 *          cannot be read) is tried again, and told by hl_room_fail() in the end.
 * Owner    hl_room_free(), on failure as well; it lets all of them go. bus and model are the caller's. In an event loop
 *          the bus is one of its own: what is called waits, and a stop that systemd does not take hangs up.
 * Process  a step takes milliseconds; nothing here waits but hl_room_wait(). No logging: `evicts` is told.
 * Tests    tests/unit/models/test_room.c, tests/system/test_evictions.py
 */
#ifndef HL_MODELS_ROOM_H
#define HL_MODELS_ROOM_H

#include "config/catalog.h"
#include "systemd/bus.h"

struct hl_room;

/* That a model is told to stop: a sentence that says why. */
typedef void hl_room_fn(void *data, const char *model, const char *why);

struct hl_room *hl_room_new(struct hl_bus *bus, const struct hl_model *model, hl_room_fn *evicts, void *data);
struct hl_room *hl_room_free(struct hl_room *room); /* returns NULL */

/* Somebody waits for it since then. Where that is earlier than all that is known, it is the model's place. */
void hl_room_came(struct hl_room *room, uint64_t since_us);

/* 1: start it now; 0: call again at *ret_again_us, or as soon as hl_room_fd() can be read; -errno: it is to be
 * refused. */
int hl_room_step(struct hl_room *room, uint64_t *ret_again_us, struct hl_err *err);

/* Can be read when a model has ended, or somebody waits no more. -1: that is not told. The room's. */
int hl_room_fd(const struct hl_room *room);

/* Waits for that, until the time, or until the peer of client_fd (-1: none) hangs up. True: it has. */
bool hl_room_wait(const struct hl_room *room, int client_fd, uint64_t until_us);

/* The gate has refused the start that was to be made: the model waits on, in its place. */
void hl_room_refused(struct hl_room *room);

/* For how long one waits at most, as the configuration had it at the last step. */
uint64_t hl_room_queue_us(const struct hl_room *room);

/* Whether others are being stopped for it at this moment. */
bool hl_room_is_evicting(const struct hl_room *room);

/* -EAGAIN/BUSY "no_capacity": what it waited for, with numbers, as of the last step. */
int hl_room_fail(const struct hl_room *room, struct hl_err *err);

#endif
