/* SPDX-License-Identifier: MIT */
#include "change.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "models/cause.h"
#include "models/evicted.h"
#include "models/load_time.h"
#include "models/readiness.h"
#include "models/refusal.h"
#include "models/room.h"
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

/* One change on its way. */
struct change {
        struct hl_context *ctx;
        struct hl_service *service;
        const struct hl_model *model;
        enum hl_job_verb verb;
        enum inference_wait until;
        struct hl_stop *stop;
        struct hl_job own, *job; /* the stop's, or its own */
        struct hl_room *room;    /* NULL: the model competes for nothing */
        bool has_no_room;        /* that is why it failed, and no cause is to be looked for */
        unsigned doubts;         /* refusal.h */
        uint64_t asked_us;
        int place; /* -1: none is taken yet */
};

static void free_change(struct change *c)
{
        hl_job_free(&c->own);
        hl_room_free(c->room);
        hl_close_fd(&c->place);
}

static bool waits_for_end(const struct change *c)
{
        return c->until == WAIT_JOB || c->until == WAIT_READY;
}

static void on_evicts(void *data, const char *model, const char *why)
{
        const struct hl_context *ctx = data;
        hl_evicted_log(model, why, ctx->request->id);
}

/* Who does not wait for the job's end does not wait for others to end their requests, either. */
static int make_room(struct change *c)
{
        struct hl_context *ctx = c->ctx;
        for (;;) {
                uint64_t again_us = 0;
                int r = hl_room_step(c->room, &again_us, &ctx->err);
                if (r != 0)
                        return r < 0 ? r : 0;
                uint64_t now_us = hl_clock_monotonic(), late_us = c->asked_us + hl_room_queue_us(c->room);
                if (!hl_room_is_evicting(c->room) && (now_us >= late_us || !waits_for_end(c)))
                        return hl_room_fail(c->room, &ctx->err);
                if (c->place < 0 && (r = inference_take_place(ctx, &c->place)) < 0)
                        return r;
                bool is_late_first = late_us < again_us && !hl_room_is_evicting(c->room);
                if (hl_room_wait(c->room, ctx->request->client_fd, is_late_first ? late_us : again_us))
                        return hl_fail_client_left(&ctx->err, c->model->unit);
        }
}

/* Before it ends, so that the journal has both in their order. */
static void log_stop(const struct change *c)
{
        const struct hl_log_field fields[] = { { "MESSAGE_ID", HL_STOP_MESSAGE_ID },
                                               { "HL_MODEL", c->model->name },
                                               { "HL_REASON", c->stop ? HL_STOP_DRAINED : HL_STOP_ASKED },
                                               { "HL_REQUEST_ID", c->ctx->request->id },
                                               { NULL, NULL } };
        if (c->verb != HL_JOB_START && hl_unit_start_hint(c->model->unit) > 0)
                hl_log(LOG_NOTICE, fields, "%s is stopped%s for %s", c->model->name,
                       c->verb == HL_JOB_RESTART ? ", and started anew," : "", c->ctx->request->peer.name);
}

/* *ret_ended: the job has. */
static int run_job(struct change *c, const struct hl_wait *wait, bool *ret_ended)
{
        struct hl_context *ctx = c->ctx;
        log_stop(c);
        int r = c->stop ? hl_stop_begin(c->stop, &ctx->err) : hl_job_begin(c->job, &ctx->err);
        *ret_ended = waits_for_end(c);
        if (r == 0 && *ret_ended)
                r = hl_job_wait(c->job, wait, &ctx->err);
        else if (r == 0 && c->until == WAIT_BEGUN)
                r = wait_for_begin(c->job, wait->client_fd, ret_ended, &ctx->err);
        if (r < 0 && c->verb != HL_JOB_STOP)
                c->has_no_room =
                        hl_refusal_tell(&c->service->bus, &c->service->config, c->model, &c->doubts, &ctx->err) < 0;
        return c->has_no_room ? -ctx->err.errnum : r;
}

/* Whether somebody else was faster, so that it waits on. */
static bool waits_on(struct change *c, int r)
{
        struct hl_err *err = &c->ctx->err;
        if (r == 0 || !c->has_no_room || !c->room || err->kind != HL_ERR_BUSY || !waits_for_end(c))
                return false;
        c->has_no_room = false;
        *err = (struct hl_err){ 0 };
        hl_job_free(c->job);
        hl_room_refused(c->room);
        return true;
}

/* Of a start that was this one's. */
static void note_load_time(const struct change *c)
{
        uint64_t active_us = 0;
        struct hl_err ignored = { 0 };
        int r = hl_units_active_since(&c->service->bus, (const char *const[]){ c->model->unit }, 1, &active_us,
                                      &ignored);
        if (r == 0 && active_us >= c->asked_us)
                hl_load_time_record_now(c->model->name, c->model->unit);
}

static int carry_out(struct change *c, struct hl_wait *wait, bool *ret_ended)
{
        struct hl_context *ctx = c->ctx;
        int r;
        do {
                r = c->room ? make_room(c) : 0;
                c->has_no_room = r < 0;
                if (r < 0)
                        return r;
                wait->deadline_us = hl_clock_monotonic() + (c->verb == HL_JOB_START ? 0 : STOP_TIMEOUT_US) +
                                    (c->verb == HL_JOB_STOP ? 0 : c->model->start_timeout_us);
                r = run_job(c, wait, ret_ended);
        } while (waits_on(c, r));
        if (r == 0 && c->until == WAIT_READY)
                r = hl_readiness_wait(&c->service->bus, c->model, wait, &ctx->err);
        if (r == 0 && c->until == WAIT_READY)
                note_load_time(c);
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
        uint64_t since_us = hl_clock_realtime();
        struct hl_wait wait = { hl_clock_monotonic() + model->start_timeout_us, ctx->request->client_fd,
                                ctx->request->on_queued };

        hl_json_set_string(ctx->reply, "model_name", model->name);
        if (until == WAIT_READY && model->port == 0) /* found before anything is started */
                return tell_cause(ctx, model, since_us, &wait, hl_model_has_port(model, &ctx->err));
        HL_CLEANUP(free_change)
        struct change c = { .ctx = ctx,
                            .service = service,
                            .model = model,
                            .verb = verb,
                            .until = until,
                            .stop = stop,
                            .place = -1,
                            .asked_us = hl_clock_monotonic() };
        int r = until == WAIT_READY ? inference_take_place(ctx, &c.place) : 0;
        if (r < 0)
                return r;
        if (verb == HL_JOB_START)
                r = pass_turnstile(ctx, model, until, &wait);
        if (r < 0)
                return r;
        c.own = (struct hl_job){ .bus = &service->bus, .verb = verb, .name = model->unit };
        c.job = stop ? &stop->job : &c.own;
        r = verb == HL_JOB_STOP ? 0 : hl_readiness_check_port(&service->bus, model, &ctx->err);
        if (r == 0 && verb != HL_JOB_STOP && hl_claim_matters(&model->claim, &service->config.capacity))
                c.room = hl_room_new(&service->bus, model, on_evicts, ctx);
        bool ended = false;
        if (r == 0)
                r = carry_out(&c, &wait, &ended);
        if (r < 0)
                return verb == HL_JOB_STOP || c.has_no_room ? r : tell_cause(ctx, model, since_us, &wait, r);

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
