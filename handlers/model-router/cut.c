/* SPDX-License-Identifier: MIT */
#include "cut.h"

#include "answers.h"
#include "base/clock.h"
#include "base/mem.h"
#include "models/cause.h"
#include "systemd/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hl_router_cut {
        struct hl_router_cuts *cuts;
        LIST_ENTRY(hl_router_cut) entry;
        struct hl_router_request *request;
        sd_event_source *timer;
        int tries;
        char name[HL_MODEL_NAME_MAX + 1];
        char *unit;
};

static void refuse(struct hl_router_request *request, const struct hl_router_cut *cut, const char *how,
                   const char *cause)
{
        struct hl_err err = { 0 };
        hl_fail(&err, HL_ERR_UPSTREAM, EIO, "model_ended",
                "%s had the request and did not answer it%s%s; \"journalctl -u %s\" says why", cut->name,
                how ? ": it ended with " : "", how ? how : "", cut->unit);
        hl_cause_tell(&err, cause);
        request->cause = cause;
        hl_router_refuse_interrupted(request, cut->name, &err);
}

static void finish(struct hl_router_cut *cut, const char *how, const char *cause)
{
        refuse(cut->request, cut, how, cause);
        LIST_REMOVE(cut, entry);
        sd_event_source_disable_unref(cut->timer);
        free(cut->unit);
        free(cut);
}

/* Answers once the cause is known, or was looked for often enough. */
static bool try_to_answer(struct hl_router_cut *cut, bool is_last)
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        char cause[HL_CAUSE_SIZE] = "";
        bool known = hl_units_detail(cut->cuts->bus, cut->unit, &detail, &ignored) == 0;
        bool ended = known && detail.active != HL_UNIT_ACTIVE && detail.active != HL_UNIT_STARTING;
        bool told = ended && hl_cause_of_end(cut->unit, &detail, 0, cause);
        if (!told && !is_last)
                return false;
        HL_CLEANUP(hl_free_pointer) char *how = ended ? hl_units_describe(&detail) : NULL;
        finish(cut, how, cause);
        return true;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)now_us;
        struct hl_router_cut *cut = data;
        if (try_to_answer(cut, ++cut->tries >= HL_CAUSE_TRIES))
                return 0;
        sd_event_source_set_time_relative(source, HL_CAUSE_LAG_US);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void refuse_late(struct hl_router_request *request, const struct hl_model *model)
{
        struct hl_err err = { 0 };
        hl_fail(&err, HL_ERR_TIMEOUT, ETIMEDOUT, "model_timeout", "%s did not answer in time", model->name);
        hl_router_refuse_interrupted(request, model->name, &err);
}

void hl_router_refuse_cut(struct hl_router_cuts *cuts, struct hl_router_request *request, const struct hl_model *model)
{
        if (request->timed_out) {
                refuse_late(request, model);
                return;
        }
        struct hl_router_cut *cut = hl_alloc(sizeof(*cut));
        *cut = (struct hl_router_cut){ .cuts = cuts, .request = request, .unit = hl_strdup(model->unit) };
        memcpy(cut->name, model->name, sizeof(cut->name));
        LIST_INSERT_HEAD(&cuts->list, cut, entry);
        if (!try_to_answer(cut, false) &&
            sd_event_add_time_relative(cuts->event, &cut->timer, CLOCK_MONOTONIC, HL_CAUSE_LAG_US, HL_USEC_PER_MSEC,
                                       on_timer, cut) < 0)
                try_to_answer(cut, true);
}

void hl_router_cuts_end(struct hl_router_cuts *cuts)
{
        while (!LIST_EMPTY(&cuts->list))
                try_to_answer(LIST_FIRST(&cuts->list), true);
}
