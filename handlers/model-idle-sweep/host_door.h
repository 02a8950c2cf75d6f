/* SPDX-License-Identifier: MIT */
/* host_door.h - a sweep asks who may switch off the host: a process of a user who may nothing else.
 *
 * Shape    one connection of model-idle-sweep-host.socket, which only the sweep's user may open: a packet with what the
 *          sweep has seen, and one back with what is scheduled now. The one who answers takes neither the sweep's word
 *          for the configuration nor for who is logged in.
 * Units    *_us of struct hl_host_seen are CLOCK_MONOTONIC; shutdown_at_us is CLOCK_REALTIME, 0: none of a sweep's.
 * Errors   hl_host_ask(): -errno/BUSY: nobody answers.
 * Tests    tests/unit/model-idle-sweep/test_host_door.c, tests/system/test_host_idle.py
 */
#ifndef HL_MODEL_IDLE_SWEEP_HOST_DOOR_H
#define HL_MODEL_IDLE_SWEEP_HOST_DOOR_H

#include "host_policy.h"

#define HL_HOST_SOCKET "/run/home-lab-services/model-idle-sweep-host.seqpacket"

/* seen NULL: the sweep cannot see what is used. */
int hl_host_ask(const char *path, const struct hl_host_seen *seen, uint64_t *ret_shutdown_at_us, struct hl_err *err);

/* What is scheduled once `seen` is taken into account. */
typedef uint64_t hl_host_decide_fn(const struct hl_host_seen *seen);

/* Answers one connection of a listening socket, if there is one. */
void hl_host_answer(int listener, hl_host_decide_fn *decide);

#endif
