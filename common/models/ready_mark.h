/* SPDX-License-Identifier: MIT */
/* ready_mark.h - has a model answered its health path since its start? One file time for each.
 *
 * Shape    the file /run/home-lab-services/ready/NAME (HL_READY_DIRECTORY in the environment names another folder). Its
 *          modification time is when the latest question that was answered with "ready" was asked, on CLOCK_MONOTONIC:
 *          so no change of the clock moves it, and the folder is gone at boot as that clock is.
 * Units    *_us are CLOCK_MONOTONIC, as systemd's ActiveEnterTimestampMonotonic is.
 * Errors   -errno: the folder is missing or not ours. Nobody has to care: what is not marked was not seen.
 * Process  one system call, but for the first mark of a model. Whoever may write to the folder marks, others do not.
 *          Nothing waits but hl_ready_mark_await(), which reads no file.
 * Tests    tests/unit/models/test_ready_mark.c
 */
#ifndef HL_MODELS_READY_MARK_H
#define HL_MODELS_READY_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define HL_READY_FOLDER "/run/home-lab-services/ready"

/* The model was asked then, and has answered that it is ready. Names come from the catalogue, never from a request. */
int hl_ready_mark(const char *model, uint64_t asked_us);

/* The model is started anew. */
void hl_ready_mark_remove(const char *model);

/* Whether it was seen ready after it was started then. */
bool hl_ready_mark_since(const char *model, uint64_t start_us);

/* Waits until it was. -ETIMEDOUT: the deadline passed. */
int hl_ready_mark_await(const char *model, uint64_t start_us, uint64_t deadline_us);

#endif
