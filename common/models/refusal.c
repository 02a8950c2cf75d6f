/* SPDX-License-Identifier: MIT */
#include "refusal.h"

#include "base/err.h"
#include "base/mem.h"
#include "capacity.h"

#include <errno.h>
#include <string.h>

/* systemd's words. */
#define REFUSED "exec-condition"
#define FORGOTTEN "success" /* or it has ended by itself */

/* What the gate saw may be over: then 0, there is room now. */
static int tell_as_it_is_now(struct hl_bus *bus, const struct hl_config *config, const struct hl_model *model,
                             struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        struct hl_err ignored = { 0 };
        if (hl_catalog_load(config, NULL, NULL, &catalog, &ignored) < 0 ||
            hl_ledger_read(bus, config, &catalog, &ledger, &ignored) < 0)
                return 0;
        struct hl_fit fit = hl_fit_of(config, &ledger, model);
        return fit.verdict == HL_FIT_NOW ? 0 : hl_fail_fit(config, &ledger, model, &fit, err);
}

int hl_refusal_tell(struct hl_bus *bus, const struct hl_config *config, const struct hl_model *model, unsigned *doubts,
                    struct hl_err *err)
{
        struct hl_unit_detail detail;
        struct hl_err told = { 0 };
        if (err->kind != HL_ERR_UPSTREAM || !hl_claim_matters(&model->claim, &config->capacity) ||
            hl_units_detail(bus, model->unit, &detail, &told) < 0 || detail.active != HL_UNIT_INACTIVE)
                return 0;
        bool is_refused = strcmp(detail.result, REFUSED) == 0;
        if (!is_refused && strcmp(detail.result, FORGOTTEN) != 0)
                return 0;
        int r = tell_as_it_is_now(bus, config, model, &told);
        if (r == 0 && (is_refused || (*doubts)++ < HL_REFUSAL_DOUBTS_MAX))
                r = hl_fail(&told, HL_ERR_BUSY, EAGAIN, "no_capacity",
                            "there was no room for %s when it was to start: \"journalctl -u %s\" says why", model->name,
                            model->unit);
        if (r < 0)
                *err = told;
        return r;
}
