/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include "base/io.h"
#include "base/mem.h"
#include "last_use.h"
#include "turnstile.h"

#include <stdlib.h>

int hl_stop_if_idle(struct hl_stop *stop, struct hl_bus *bus, const struct hl_config *config, struct hl_model *model,
                    struct hl_verdict *ret_verdict, struct hl_err *err)
{
        const struct hl_catalog alone = { .models = model, .count = 1 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usage = NULL;
        *stop = HL_STOP_INIT;
        stop->model = model;
        int r = hl_turnstile_raise(model->name, &stop->turnstile_fd, err);
        if (r == 0) {
                hl_sleep_or_hangup(-1, HL_TURNSTILE_SETTLE_US);
                r = hl_last_use_lock(model->name, &stop->lock_fd, err);
        }
        if (r >= 0)
                r = hl_usage_ask(bus, config, &alone, &usage, err);
        if (r >= 0) {
                *ret_verdict = hl_verdict_decide(config, model, usage);
                stop->is_quiet = ret_verdict->reason == HL_VERDICT_IDLE;
        }
        if (stop->is_quiet) {
                stop->job = (struct hl_job){ .bus = bus, .verb = HL_JOB_STOP, .name = model->unit };
                r = hl_stop_begin(stop, err);
        }
        if (r < 0 || !stop->is_quiet)
                hl_stop_free(stop);
        return r < 0 ? r : stop->is_quiet;
}
