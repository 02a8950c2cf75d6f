#include "change.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/cause.h"
#include "models/last_use.h"
#include "models/readiness.h"

#include <errno.h>
#include <string.h>

#define STOP_TIMEOUT_US (120 * HL_USEC_PER_SEC) /* for a unit's TimeoutStopSec= and the kill behind it */
#define BEGUN_US (500 * HL_USEC_PER_MSEC)       /* systemd takes a few milliseconds from a job to a state */

enum inference_wait inference_wait_of(const char *word)
{
        return strcmp(word, "ready") == 0 ? WAIT_READY : strcmp(word, "none") == 0 ? WAIT_NONE : WAIT_JOB;
}

/* 0, too, where the job goes on. *ret_done: it has ended. */
static int wait_for_begin(struct hl_job *job, bool *ret_done, struct hl_err *err)
{
        struct hl_err moment = { 0 };
        int r = hl_job_wait(job, hl_clock_monotonic() + BEGUN_US, &moment);
        *ret_done = r == 0;
        if (r == 0 || (r == -ETIMEDOUT && moment.kind == HL_ERR_TIMEOUT))
                return 0;
        *err = moment;
        return r;
}

/* What is behind a failed start, in the answer and in its message. Who has left is told nothing. */
static int tell_cause(struct hl_call *call, const struct hl_model *model, uint64_t since_us, int r)
{
        struct hl_app *app = call->app;
        char cause[HL_CAUSE_SIZE];
        if (r == -ECANCELED)
                return r;
        hl_cause_wait_of_failure(&app->bus, model, since_us, &call->err, cause);
        hl_cause_tell(&call->err, cause);
        if (*cause)
                hl_json_set_string(call->out, "cause", cause);
        return r;
}

int inference_change(struct hl_call *call, const struct hl_model *model, enum hl_unit_verb verb,
                     enum inference_wait wait, int hold)
{
        static const char *const done[] = {
                [HL_UNIT_START] = "started", [HL_UNIT_STOP] = "stopped", [HL_UNIT_RESTART] = "restarted"
        };
        static const char *const begun[] = {
                [HL_UNIT_START] = "is starting", [HL_UNIT_STOP] = "is stopping", [HL_UNIT_RESTART] = "is restarting"
        };
        struct hl_app *app = call->app;
        uint64_t stop_us = verb == HL_UNIT_START ? 0 : STOP_TIMEOUT_US,
                 start_us = verb == HL_UNIT_STOP ? 0 : model->start_timeout_us;
        uint64_t deadline_us = hl_clock_monotonic() + stop_us + start_us, since_us = hl_clock_realtime();

        hl_json_set_string(call->out, "model_name", model->name);
        if (wait == WAIT_READY && model->port == 0) /* found before anything is started */
                return tell_cause(call, model, since_us, hl_ready_wait(&app->bus, model, deadline_us, &call->err));
        HL_CLEANUP(hl_job_free)
        struct hl_job job = { .bus = &app->bus, .verb = verb, .name = model->unit };
        int r = verb == HL_UNIT_STOP ? 0 : hl_ready_check_port(&app->bus, model, &call->err);
        bool ended = wait == WAIT_JOB || wait == WAIT_READY;
        app->bus.queued = ended ? call->request->may_end : NULL;
        if (r == 0)
                r = hl_job_begin(&job, &call->err);
        if (r == 0 && hold >= 0)
                hl_activity_stop_begun(hold);
        if (r == 0 && ended)
                r = hl_job_wait(&job, deadline_us, &call->err);
        else if (r == 0 && wait == WAIT_BEGUN)
                r = wait_for_begin(&job, &ended, &call->err);
        if (r == 0 && wait == WAIT_READY)
                r = hl_ready_wait(&app->bus, model, deadline_us, &call->err);
        if (r < 0)
                return verb == HL_UNIT_STOP ? r : tell_cause(call, model, since_us, r);

        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("Model %s %s", model->name,
                                  !ended               ? begun[verb]
                                  : wait == WAIT_READY ? "is ready"
                                                       : done[verb]);
        hl_json_set_string(call->out, "message", message);
        if (wait == WAIT_NONE)
                call->status = 202;
        return 0;
}
