/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LOAD_UNKNOWN_US (10 * HL_USEC_PER_SEC)
#define LOAD_MAX_MS UINT64_C(3600000) /* no START_TIMEOUT is longer */
#define LOSS_SCALE UINT64_C(1000000)
/* Sets looked at: more than 16 models of one resource can have. Where there are more, the best one so far is taken. */
#define LOOKS_MAX 65536

uint64_t hl_plan_loss(const struct hl_plan_fact *fact)
{
        uint64_t load_ms = (fact->load_us ? fact->load_us : LOAD_UNKNOWN_US) / HL_USEC_PER_MSEC,
                 idle_ms = fact->idle_us / HL_USEC_PER_MSEC;
        uint64_t loss = (load_ms < LOAD_MAX_MS ? load_ms : LOAD_MAX_MS) * LOSS_SCALE / (idle_ms > 0 ? idle_ms : 1);
        return loss > 0 ? loss : 1;
}

/* Whether a holder may be made to leave now, or, where busy ones are, as soon as its requests have ended. */
static bool may_leave(const struct hl_config *config, const struct hl_holder *holder, const struct hl_plan_fact *fact,
                      bool or_busy)
{
        return holder->state == HL_UNIT_ACTIVE && !holder->model->claim.keep && fact->is_loaded && !fact->is_wanted &&
               fact->resident_us >= config->capacity.min_residency_us &&
               (or_busy || (fact->in_flight == 0 && !fact->is_coming));
}

/* ---- the search ---- */

struct item {
        struct hl_holder *holder;
        size_t index;
        uint64_t loss;
};

struct search {
        const struct hl_config *config;
        const struct hl_ledger *ledger;
        const struct hl_model *model;
        struct item *items; /* those with the least loss first */
        size_t count;
        bool *best; /* of the items; they leave */
        uint64_t best_loss;
        unsigned looks;
};

static int by_loss(const void *a, const void *b)
{
        const struct item *one = a, *other = b;
        if (one->loss != other->loss)
                return one->loss < other->loss ? -1 : 1;
        return one->index < other->index ? -1 : 1;
}

static bool fits(const struct search *s)
{
        return hl_fit_of(s->config, s->ledger, s->model).verdict == HL_FIT_NOW;
}

static void keep_best(struct search *s, uint64_t loss)
{
        s->best_loss = loss;
        for (size_t i = 0; i < s->count; i++)
                s->best[i] = s->items[i].holder->ignored;
}

/* Each set that may be better than the best one, from item `from` on. Those before it are decided. */
static void search_from(struct search *s, size_t from, uint64_t loss)
{
        if (loss >= s->best_loss || s->looks++ >= LOOKS_MAX)
                return;
        if (fits(s)) {
                keep_best(s, loss);
                return;
        }
        for (size_t i = from; i < s->count; i++) {
                s->items[i].holder->ignored = true;
                search_from(s, i + 1, loss + s->items[i].loss);
                s->items[i].holder->ignored = false;
        }
}

/* A set that is good enough to begin with: all, less each that can stay, the dearest first. False: all are too few. */
static bool begin_search(struct search *s)
{
        uint64_t loss = 0;
        for (size_t i = 0; i < s->count; i++) {
                s->items[i].holder->ignored = true;
                loss += s->items[i].loss;
        }
        bool found = fits(s);
        for (size_t i = s->count; found && i-- > 0;) {
                s->items[i].holder->ignored = false;
                if (fits(s))
                        loss -= s->items[i].loss;
                else
                        s->items[i].holder->ignored = true;
        }
        if (found)
                keep_best(s, loss);
        for (size_t i = 0; i < s->count; i++)
                s->items[i].holder->ignored = false;
        return found;
}

/* Marks those that leave. False: all that may leave do not make room. */
static bool find_set(const struct hl_config *config, const struct hl_ledger *ledger, struct hl_plan_fact *facts,
                     const struct hl_model *model, bool or_busy)
{
        HL_CLEANUP(hl_free_pointer) struct item *items = hl_alloc(ledger->count * sizeof(*items));
        HL_CLEANUP(hl_free_pointer) bool *best = hl_alloc(ledger->count * sizeof(*best));
        struct search s = { .config = config, .ledger = ledger, .model = model, .items = items, .best = best };
        const struct hl_fit fit = hl_fit_of(config, ledger, model);
        for (size_t i = 0; i < ledger->count; i++) {
                struct hl_holder *holder = &ledger->holders[i];
                if (may_leave(config, holder, &facts[i], or_busy) && hl_holder_is_in_the_way(holder, model, &fit))
                        s.items[s.count++] = (struct item){ holder, i, hl_plan_loss(&facts[i]) };
        }
        if (s.count == 0)
                return false;
        qsort(s.items, s.count, sizeof(*s.items), by_loss);
        if (!begin_search(&s))
                return false;
        search_from(&s, 0, 0);
        for (size_t i = 0; i < s.count; i++)
                facts[s.items[i].index].leaves = best[i];
        return true;
}

/* Those that stop hold their memory still, and will not for long. */
static void ignore_stopping(const struct hl_ledger *ledger, bool ignored)
{
        for (size_t i = 0; i < ledger->count; i++)
                if (ledger->holders[i].state == HL_UNIT_STOPPING)
                        ledger->holders[i].ignored = ignored;
}

/* As if those that stop were gone. */
static enum hl_plan plan_beside(const struct hl_config *config, const struct hl_ledger *ledger,
                                struct hl_plan_fact *facts, const struct hl_model *model, bool is_starving)
{
        enum hl_fit_verdict verdict = hl_fit_of(config, ledger, model).verdict;
        if (verdict != HL_FIT_LATER)
                return verdict == HL_FIT_NOW ? HL_PLAN_WAIT : HL_PLAN_NEVER;
        if (find_set(config, ledger, facts, model, false))
                return HL_PLAN_EVICT;
        if (is_starving)
                find_set(config, ledger, facts, model, true);
        return HL_PLAN_WAIT;
}

enum hl_plan hl_plan_make(const struct hl_config *config, const struct hl_ledger *ledger, struct hl_plan_fact *facts,
                          const struct hl_model *model, bool is_starving)
{
        for (size_t i = 0; i < ledger->count; i++)
                facts[i].leaves = false;
        if (hl_fit_of(config, ledger, model).verdict == HL_FIT_NOW)
                return HL_PLAN_START;
        ignore_stopping(ledger, true);
        enum hl_plan plan = plan_beside(config, ledger, facts, model, is_starving);
        ignore_stopping(ledger, false);
        return plan;
}
