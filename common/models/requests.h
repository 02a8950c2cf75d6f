/* SPDX-License-Identifier: MIT */
/* requests.h - has a model a request in flight? The kernel's word, and the model's own where the kernel cannot tell.
 *
 * Shape    a connection on which nothing moves may be kept alive between two requests, or wait for the next token; a
 *          request without an answer may be worked on, or be lost. Servers that publish how many requests they work
 *          on (vLLM, llama.cpp) are asked then, and believed. Others are judged by the kernel's word alone.
 * Errors   a server that does not answer has not said anything. hl_requests_of_unit() as in sockets.h.
 * Source   vllm:num_requests_running and so on, llamacpp:requests_processing and so on; Prometheus' text format.
 * Tests    tests/unit/models/test_probe.c
 */
#ifndef HL_MODELS_REQUESTS_H
#define HL_MODELS_REQUESTS_H

#include "kernel/sockets.h"

#define HL_METRICS_PATH "/metrics"

/* How many requests the server on this port works on. silent: no byte has moved for so long that an unanswered request,
 * too, is in doubt, and a client that sends no more is taken for gone. */
unsigned hl_requests_running(uint16_t port, const struct hl_traffic *traffic, bool silent);

/* The same of a unit's server now, wherever that listens (sockets.h): it is believed where it says that it works. */
int hl_requests_of_unit(uint16_t port, uint64_t cgroup, unsigned *ret_requests, struct hl_err *err);

/* The sum of what a server's metrics say of requests that run or wait; -ENOENT: they say nothing of it. */
int hl_requests_parse(const char *text, unsigned *ret_requests);

#endif
