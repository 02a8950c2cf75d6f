/* SPDX-License-Identifier: MIT */
/* follow.h - an answer that goes on: a log that is followed, or events.
 *
 * Shape    what is followed tells what there is and waits for more, in turns. Every few seconds it is asked whether who
 *          listens would still be let in. It ends after an hour, with its client, and with the program.
 * Errors   -EBUSY/BUSY, "too_many_followers": a service has only so many over all its processes.
 * Owner    a struct hl_follow is the first member of what its caller allocates. follow->free() frees all of that but
 *          the place. It is hl_follow_free()'s, also where nothing was begun.
 * Process  each follower has a process of its own at the port, and a thread behind NGINX.
 * Tests    tests/system/test_logs.py, tests/system/test_events.py
 */
#ifndef HL_SERVICE_FOLLOW_H
#define HL_SERVICE_FOLLOW_H

#include "service.h"

struct hl_follow {
        unsigned scope; /* of its route */
        /* Sends what there is by now, for no longer than until_us. 0, or -errno: it is over. */
        int (*tell)(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us);
        /* As hl_journal_wait(). */
        int (*wait)(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us);
        void (*free)(struct hl_follow *follow);

        const struct hl_request *request;
        int place;
};

/* Takes a place for the caller, who has filled the fields above the empty line, and frees it also on failure. */
int hl_follow_take(struct hl_context *ctx, struct hl_follow *follow);

/* The answer of ctx goes on by this; takes follow. */
void hl_follow_begin(struct hl_context *ctx, struct hl_follow *follow);

void hl_follow_free(void *follow);

#endif
