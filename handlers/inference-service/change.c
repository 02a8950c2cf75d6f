/* SPDX-License-Identifier: MIT */
#include "change.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/cause.h"
#include "models/readiness.h"
#include "models/refusal.h"
#include "models/turnstile.h"

#include <errno.h>
#include <string.h>

#define STOP_TIMEOUT_US (120 * HL_USEC_PER_SEC) /* for a unit's TimeoutStopSec= and the kill behind it */
#define WAITERS_MAX                                                                                                    \
        24 /* in all: at the port each has a connection, behind FastCGI a thread, and others want some, too */
#define BEGUN_US (500 * HL_USEC_PER_MSEC) /* systemd takes a few milliseconds from a job to a state */

enum inference_wait inference_wait_of(const char *word)
{
        return strcmp(word, "ready") == 0 ? WAIT_READY : strcmp(word, "none") == 0 ? WAIT_NONE : WAIT_JOB;
}

/* 0, too, where the job goes on. *ret_done: it has ended. */
static int wait_for_begin(struct hl_job *job, int client_fd, bool *ret_done, struct hl_err *err)
{
        struct hl_err moment = { 0 };
        const struct hl_wait wait = { hl_clock_monotonic() + BEGUN_US, client_fd };
        int r = hl_job_wait(job, &wait, &moment);
        *ret_done = r == 0;
        if (r == 0 || (r == -ETIMEDOUT && moment.kind == HL_ERR_TIMEOUT))
                return 0;
        *err = moment;
        return r;
}

/* What is behind a failed start, in the answer and in its message. Who has left is told nothing. */
static int tell_cause(struct hl_context *ctx, const struct hl_model *model, uint64_t since_us,
                      const struct hl_wait *wait, int r)
{
        struct hl_service *service = ctx->service;
        char cause[HL_CAUSE_SIZE];
        if (ctx->err.kind == HL_ERR_CANCELLED)
                return r;
        hl_cause_wait_of_failure(&service->bus, model, since_us, &ctx->err, wait, cause);
        hl_cause_tell(&ctx->err, cause);
        if (*cause)
                hl_json_set_string(ctx->reply, "cause", cause);
        return r;
}

int inference_take_place(struct hl_context *ctx, int *ret_place)
{
        int r = hl_service_take(ctx->service, "waiter", WAITERS_MAX, ret_place);
        return r == 0 ? 0
                      : hl_fail(&ctx->err, HL_ERR_BUSY, EBUSY, "too_many_waiters",
                                "%d requests wait for a model already", WAITERS_MAX);
}

/* A start ends a pause. Who wants to send a request sends none to a model that is about to be stopped. */
static int pass_turnstile(struct hl_context *ctx, const struct hl_model *model, enum inference_wait until,
                          const struct hl_wait *wait)
{
        int r = hl_turnstile_lease_left(model->name) > 0 ? hl_turnstile_lease(model->name, 0, &ctx->err) : 0;
        if (r == 0 && until == WAIT_READY)
                r = hl_turnstile_await(model->name, wait->client_fd, wait->deadline_us);
        if (r == -ECANCELED)
                return hl_fail(&ctx->err, HL_ERR_CANCELLED, ECANCELED, "client_left",
                               "the client has left, and %s is not started", model->name);
        if (r == -ETIMEDOUT)
                return hl_fail(&ctx->err, HL_ERR_BUSY, EBUSY, "model_paused", "%s is drained, and that takes longer",
                               model->name);
        return r;
}

int inference_change(struct hl_context *ctx, const struct hl_model *model, enum hl_job_verb verb,
                     enum inference_wait until, struct hl_stop *stop)
{
        static const char *const done[] = {
                [HL_JOB_START] = "started", [HL_JOB_STOP] = "stopped", [HL_JOB_RESTART] = "restarted"
        };
        static const char *const begun[] = {
                [HL_JOB_START] = "is starting", [HL_JOB_STOP] = "is stopping", [HL_JOB_RESTART] = "is restarting"
        };
        struct hl_service *service = ctx->service;
        uint64_t stop_us = verb == HL_JOB_START ? 0 : STOP_TIMEOUT_US,
                 start_us = verb == HL_JOB_STOP ? 0 : model->start_timeout_us;
        uint64_t since_us = hl_clock_realtime();
        const struct hl_wait wait = { hl_clock_monotonic() + stop_us + start_us, ctx->request->client_fd,
                                      ctx->request->on_queued };

        hl_json_set_string(ctx->reply, "model_name", model->name);
        if (until == WAIT_READY && model->port == 0) /* found before anything is started */
                return tell_cause(ctx, model, since_us, &wait, hl_model_has_port(model, &ctx->err));
        HL_CLEANUP(hl_close_fd) int place = -1;
        int r = until == WAIT_READY ? inference_take_place(ctx, &place) : 0;
        if (r < 0)
                return r;
        if (verb == HL_JOB_START)
                r = pass_turnstile(ctx, model, until, &wait);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_job_free)
        struct hl_job own = { .bus = &service->bus, .verb = verb, .name = model->unit };
        struct hl_job *job = stop ? &stop->job : &own;
        r = verb == HL_JOB_STOP ? 0 : hl_readiness_check_port(&service->bus, model, &ctx->err);
        bool ended = until == WAIT_JOB || until == WAIT_READY;
        if (r == 0)
                r = stop ? hl_stop_begin(stop, &ctx->err) : hl_job_begin(job, &ctx->err);
        if (r == 0 && ended)
                r = hl_job_wait(job, &wait, &ctx->err);
        else if (r == 0 && until == WAIT_BEGUN)
                r = wait_for_begin(job, wait.client_fd, &ended, &ctx->err);
        if (r == 0 && until == WAIT_READY)
                r = hl_readiness_wait(&service->bus, model, &wait, &ctx->err);
        if (r < 0 && verb != HL_JOB_STOP && hl_refusal_tell(&service->bus, &service->config, model, &ctx->err) < 0)
                return -ctx->err.errnum;
        if (r < 0)
                return verb == HL_JOB_STOP ? r : tell_cause(ctx, model, since_us, &wait, r);

        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("Model %s %s", model->name,
                                  !ended                ? begun[verb]
                                  : until == WAIT_READY ? "is ready"
                                                        : done[verb]);
        hl_json_set_string(ctx->reply, "message", message);
        if (until == WAIT_NONE)
                ctx->status = 202;
        return 0;
}
