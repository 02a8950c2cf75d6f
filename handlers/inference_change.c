#include "inference_change.h"

#include "base/clock.h"
#include "base/mem.h"
#include "lab/activity.h"
#include "lab/ready.h"

#include <string.h>

#define STOP_TIMEOUT_US (120 * HL_USEC_PER_SEC) /* for a unit's TimeoutStopSec= and the kill behind it */

enum inference_wait inference_wait_of(const char *word)
{
        return strcmp(word, "ready") == 0 ? WAIT_READY : strcmp(word, "none") == 0 ? WAIT_NONE : WAIT_JOB;
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
        uint64_t deadline_us = hl_clock_monotonic() + stop_us + start_us;

        hl_json_set_string(call->out, "model_name", model->name);
        if (wait == WAIT_READY && model->port == 0) /* found before anything is started */
                return hl_ready_wait(&app->bus, model, deadline_us, &call->err);
        HL_CLEANUP(hl_job_free)
        struct hl_job job = { .bus = &app->bus, .verb = verb, .name = model->unit };
        int r = verb == HL_UNIT_STOP ? 0 : hl_ready_check_port(&app->bus, model, &call->err);
        app->bus.queued = wait == WAIT_NONE ? NULL : call->request->may_end;
        if (r == 0)
                r = hl_job_begin(&job, &call->err);
        if (r == 0 && hold >= 0)
                hl_activity_stop_begun(hold);
        if (r == 0 && wait != WAIT_NONE)
                r = hl_job_wait(&job, deadline_us, &call->err);
        if (r == 0 && wait == WAIT_READY)
                r = hl_ready_wait(&app->bus, model, deadline_us, &call->err);
        if (r < 0)
                return r;

        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("Model %s %s", model->name,
                                  wait == WAIT_NONE    ? begun[verb]
                                  : wait == WAIT_READY ? "is ready"
                                                       : done[verb]);
        hl_json_set_string(call->out, "message", message);
        if (wait == WAIT_NONE)
                call->status = 202;
        return 0;
}
