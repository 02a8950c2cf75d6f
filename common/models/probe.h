/* SPDX-License-Identifier: MIT */
/* probe.h - what a model server says of itself: one GET on loopback.
 *
 * Shape    hl_probe() waits; hl_probe_begin() and hl_probe_step() are for a program with an event loop. All come from
 *          HL_SOCKETS_OWN_SOURCE: to ask a model is not to use it. Of an answer 200 the beginning is read too: some
 *          servers say in its text alone that they are loading, which is a status 503 here.
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   the HTTP status, or -errno: -ECONNREFUSED: nobody listens, -ETIMEDOUT: no answer
 *          in time, -EPROTO: what answered is not HTTP.
 * Owner    hl_probe_end(), also after a failure.
 * Source   RFC 9112 section 4. Not libcurl: loading it costs a handler more than all else it does.
 * Tests    tests/unit/models/test_probe.c
 */
#ifndef HL_MODELS_PROBE_H
#define HL_MODELS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hl_buf;

int hl_probe(uint16_t port, const char *path, uint64_t deadline_us);

/* Appends what follows the status, head and body, to answer; up to its max: -EMSGSIZE where that is not enough. */
int hl_probe_text(uint16_t port, const char *path, uint64_t deadline_us, struct hl_buf *answer);

#define HL_PROBE_STATUS_LEN 12                  /* "HTTP/1.1 200" */
#define HL_PROBE_ANSWER_MAX 2048                /* bytes; who says more than this has loaded */
#define HL_PROBE_TEXT_US (UINT64_C(500) * 1000) /* for the text behind a status 200 */

struct hl_probe {
        int fd; /* to be waited for; -1: none */
        char *request;
        size_t sent, len; /* of request and answer */
        int status;       /* once that is read; its text may not be there yet */
        bool no_text;     /* the status alone is read */
        char answer[HL_PROBE_ANSWER_MAX + 1];
};

/* 0, or -errno. */
int hl_probe_begin(struct hl_probe *probe, uint16_t port, const char *path);

/* Goes as far as it can without waiting: the status, or -errno; -EAGAIN: come again once fd has one of the poll()
 * events in *ret_events. Where the text stays away for longer than HL_PROBE_TEXT_US, probe->status is the answer. */
int hl_probe_step(struct hl_probe *probe, short *ret_events);

void hl_probe_end(struct hl_probe *probe);

#endif
