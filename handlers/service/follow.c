/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>

#define FOLLOW_US (60 * HL_USEC_PER_MINUTE) /* below RuntimeMaxSec= of the unit that follows */
#define FOLLOWERS_MAX 16                    /* in all: at the port each has a connection, behind FastCGI a thread */
#define LOOK_US (2 * HL_USEC_PER_SEC)       /* how often it is asked whether a follower's token is still one */

int hl_follow_take(struct hl_context *ctx, struct hl_follow *follow)
{
        follow->request = ctx->request;
        follow->place = -1;
        if (hl_service_take(ctx->service, "follower", FOLLOWERS_MAX, &follow->place) < 0)
                return hl_fail(&ctx->err, HL_ERR_BUSY, EBUSY, "too_many_followers",
                               "%d clients are being told what happens already", FOLLOWERS_MAX);
        return 0;
}

void hl_follow_free(void *data)
{
        struct hl_follow *follow = data;
        hl_close_fd(&follow->place);
        follow->free(follow);
}

static void run(void *data, const struct hl_stream *stream)
{
        struct hl_follow *follow = data;
        uint64_t deadline_us = hl_clock_monotonic() + FOLLOW_US, look_us;
        int r = 1;
        while ((r > 0 || r == -ETIMEDOUT) && (look_us = hl_clock_monotonic() + LOOK_US) < deadline_us &&
               hl_service_still_admits(follow->request, follow->scope)) {
                do {
                        if (follow->tell(follow, stream, look_us) < 0)
                                return;
                        r = follow->wait(follow, stream, look_us);
                } while (r > 0);
        }
}

void hl_follow_begin(struct hl_context *ctx, struct hl_follow *follow)
{
        ctx->response->stream = run;
        ctx->response->stream_free = hl_follow_free;
        ctx->response->stream_data = follow;
}
