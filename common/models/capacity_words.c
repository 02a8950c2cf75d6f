/* SPDX-License-Identifier: MIT */
#include "capacity.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOLDERS_SHOWN_MAX 6 /* of one resource, in a sentence */

const char *hl_fit_name(enum hl_fit_verdict verdict)
{
        static const char *const names[] = { [HL_FIT_NOW] = "now", [HL_FIT_LATER] = "later", [HL_FIT_NEVER] = "never" };
        return names[verdict];
}

static void add_state(struct hl_buf *out, const struct hl_holder *holder)
{
        if (holder->model->claim.keep)
                hl_buf_adds(out, ", kept");
        if (holder->undecided) /* it counts, and may be sent away: so more may be named than fits */
                hl_buf_adds(out, ", at the gate");
        else if (holder->state != HL_UNIT_ACTIVE)
                hl_buf_adds(out, holder->state == HL_UNIT_STARTING ? ", starting" : ", stopping");
        if (holder->note)
                hl_buf_addf(out, ", %s", holder->note);
}

/* Of one that never fits: those that stay, whatever is stopped. */
static bool counts(const struct hl_holder *holder, size_t resource, const struct hl_model *model,
                   const struct hl_fit *fit)
{
        return !holder->ignored && (holder->model->claim.keep || fit->verdict != HL_FIT_NEVER) &&
               holder->model->claim.bytes[resource] > 0 && strcmp(holder->model->unit, model->unit) != 0;
}

/* "gpu 0 has 23 GiB: whisper (2 GiB, kept); gemma-27b needs 18 GiB" */
static void add_resource(struct hl_buf *out, const struct hl_config *config, const struct hl_ledger *ledger,
                         const struct hl_model *model, const struct hl_fit *fit, size_t resource)
{
        char name[HL_RESOURCE_TEXT], size[HL_SIZE_TEXT];
        size_t shown = 0, left = 0;
        hl_buf_addf(out, "%s has %s", hl_resource_name(resource, name),
                    hl_format_size(config->capacity.bytes[resource], size));
        for (size_t i = 0; i < ledger->count; i++) {
                const struct hl_holder *holder = &ledger->holders[i];
                if (!counts(holder, resource, model, fit))
                        continue;
                if (shown >= HOLDERS_SHOWN_MAX) {
                        left++;
                        continue;
                }
                hl_buf_addf(out, "%s %s (%s", shown++ > 0 ? "," : ":", holder->model->name,
                            hl_format_size(holder->model->claim.bytes[resource], size));
                add_state(out, holder);
                hl_buf_adds(out, ")");
        }
        if (left > 0)
                hl_buf_addf(out, " and %zu more", left);
        hl_buf_addf(out, "; %s needs %s", model->name, hl_format_size(model->claim.bytes[resource], size));
}

static void add_group(struct hl_buf *out, const struct hl_model *model, const struct hl_holder *holder)
{
        size_t len = 0;
        const char *group = hl_claim_shared_group(&model->claim, &holder->model->claim, &len);
        hl_buf_addf(out, "group %.*s is %s's (running", (int)len, group ? group : "", holder->model->name);
        add_state(out, holder);
        hl_buf_addf(out, "), and %s is in it, too", model->name);
}

char *hl_fit_explain(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model,
                     const struct hl_fit *fit)
{
        struct hl_buf out = { 0 };
        if (fit->verdict == HL_FIT_NEVER)
                hl_buf_addf(&out, "%s does not fit, whatever else is stopped: ", model->name);
        size_t start = out.len;
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (fit->lacks[i] > 0 ||
                    (fit->verdict == HL_FIT_NOW && model->claim.bytes[i] > 0 && config->capacity.bytes[i] > 0)) {
                        hl_buf_adds(&out, out.len > start ? "; " : "");
                        add_resource(&out, config, ledger, model, fit, i);
                }
        if (fit->rival) {
                hl_buf_adds(&out, out.len > start ? "; " : "");
                add_group(&out, model, fit->rival);
        }
        return out.data ? out.data : hl_strdup("");
}

int hl_fail_fit(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model,
                const struct hl_fit *fit, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *why = hl_fit_explain(config, ledger, model, fit);
        return fit->verdict == HL_FIT_NEVER ? hl_fail(err, HL_ERR_CONFLICT, ENOSPC, "model_does_not_fit", "%s", why)
                                            : hl_fail(err, HL_ERR_BUSY, EAGAIN, "no_capacity", "%s", why);
}
