/* SPDX-License-Identifier: MIT */
/* models/capacity: what is in use, what fits, and what is said of it. */
#include "fake_bus.h"

#include "base/mem.h"
#include "models/capacity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

enum { BIG, KEPT, SMALL, IN_GROUP, RIVAL, KEPT_RIVAL, NOTHING, MODELS };

static struct hl_model models[MODELS];
static const struct hl_config config = { .unit_template = "model@%s.service",
                                         .capacity = { .is_set = true,
                                                       .bytes = { [0] = 23 * GIB, [HL_MEMORY] = 8 * GIB } } };

static void is(int model, const char *name, uint64_t gpu, uint64_t memory, const char *group, bool keep)
{
        struct hl_model *m = &models[model];
        *m = (struct hl_model){ .claim = { .bytes = { [0] = gpu, [HL_MEMORY] = memory }, .keep = keep } };
        strcpy(m->name, name);
        m->unit = hl_format("model@%s.service", name);
        m->claim.groups = hl_strdup(group);
}

static int make_models(void **state)
{
        (void)state;
        is(BIG, "active-1", 20 * GIB, 0, NULL, false);
        is(KEPT, "active-2", 2 * GIB, GIB, NULL, true);
        is(SMALL, "activating-3", GIB, 0, NULL, false);
        is(IN_GROUP, "deactivating-4", 0, 0, "big,x", false);
        is(RIVAL, "failed-5", 0, 0, "big", false);
        is(KEPT_RIVAL, "reloading-6", 0, 0, "y", true);
        is(NOTHING, "active-7", 0, 0, NULL, false);
        return 0;
}

static int free_models(void **state)
{
        (void)state;
        for (size_t i = 0; i < MODELS; i++) {
                free(models[i].unit);
                hl_claim_free(&models[i].claim);
        }
        return 0;
}

static void whoever_starts_runs_or_stops_holds_what_it_claims(void **state)
{
        struct fake_host *host = *state;
        static const char *const loaded[] = { "model@active-2.service",       "model@active-1.service",
                                              "model@activating-3.service",   "model@failed-5.service",
                                              "model@deactivating-4.service", "model@active-9.service",
                                              "model@inactive-8.service",     NULL };
        const struct hl_catalog catalog = { models, MODELS };
        struct hl_ledger ledger;
        host->systemd.loaded = loaded;
        assert_int_equal(hl_ledger_read(&host->bus, &config, &catalog, &ledger, &host->err), 0);
        static const struct {
                int model;
                enum hl_unit_state state;
        } holders[] = { { BIG, HL_UNIT_ACTIVE },
                        { KEPT, HL_UNIT_ACTIVE },
                        { SMALL, HL_UNIT_STARTING },
                        { IN_GROUP, HL_UNIT_STOPPING } };
        assert_int_equal(ledger.count, HL_COUNT(holders));
        for (size_t i = 0; i < HL_COUNT(holders); i++) {
                assert_ptr_equal(ledger.holders[i].model, &models[holders[i].model]);
                assert_int_equal(ledger.holders[i].state, holders[i].state);
                assert_true(ledger.holders[i].begun_us == (i + 1) * 1000000);
                assert_false(ledger.holders[i].undecided || ledger.holders[i].ignored);
        }
        assert_int_equal(host->bus.calls, 1 + HL_COUNT(holders));
        assert_ptr_equal(hl_ledger_find(&ledger, &models[SMALL]), &ledger.holders[2]);
        assert_null(hl_ledger_find(&ledger, &models[RIVAL]));
        assert_true(hl_ledger_used(&ledger, 0, NULL) == 23 * GIB);
        assert_true(hl_ledger_used(&ledger, 0, &models[BIG]) == 3 * GIB);
        assert_true(hl_ledger_used(&ledger, HL_MEMORY, NULL) == GIB);
        ledger.holders[1].ignored = true;
        assert_true(hl_ledger_used(&ledger, 0, NULL) == 21 * GIB);
        hl_ledger_free(&ledger);
}

static void who_waits_for_its_own_gate_is_told_apart(void **state)
{
        struct fake_host *host = *state;
        const struct hl_catalog catalog = { models, MODELS };
        struct hl_ledger ledger;
        static const char *const loaded[] = { "model@activating-3.service", NULL };
        host->systemd.loaded = loaded;
        host->systemd.sub_state = "condition";
        assert_int_equal(hl_ledger_read(&host->bus, &config, &catalog, &ledger, &host->err), 0);
        assert_int_equal(ledger.count, 1);
        assert_true(ledger.holders[0].undecided);
        hl_ledger_free(&ledger);
}

static void where_nothing_runs_one_call_is_enough(void **state)
{
        struct fake_host *host = *state;
        const struct hl_catalog catalog = { models, MODELS };
        struct hl_ledger ledger;
        static const char *const loaded[] = { NULL };
        host->systemd.loaded = loaded;
        assert_int_equal(hl_ledger_read(&host->bus, &config, &catalog, &ledger, &host->err), 0);
        assert_int_equal(ledger.count, 0);
        assert_int_equal(host->bus.calls, 1);
        host->systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(hl_ledger_read(&host->bus, &config, &catalog, &ledger, &host->err) < 0);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
}

/* What a model fits, and what is said of it, beside these that run. */
static struct hl_fit beside(const struct hl_config *c, int model, const int *others, size_t count, char **ret_words)
{
        static struct hl_holder holders[MODELS]; /* what a fit leads to */
        for (size_t i = 0; i < count; i++)
                holders[i] = (struct hl_holder){ .model = &models[others[i]], .state = HL_UNIT_ACTIVE };
        const struct hl_ledger ledger = { holders, count };
        struct hl_fit fit = hl_fit_of(c, &ledger, &models[model]);
        free(*ret_words);
        *ret_words = hl_fit_explain(c, &ledger, &models[model], &fit);
        return fit;
}
#define BESIDE(c, model, ...)                                                                                          \
        beside(c, model, (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int), &words)

static void memory_is_counted(void **state)
{
        (void)state;
        char *words = NULL;
        struct hl_fit fit = beside(&config, BIG, NULL, 0, &words);
        assert_int_equal(fit.verdict, HL_FIT_NOW);
        assert_string_equal(words, "gpu 0 has 23 GiB; active-1 needs 20 GiB");
        fit = BESIDE(&config, BIG, KEPT, SMALL); /* exactly */
        assert_int_equal(fit.verdict, HL_FIT_NOW);
        fit = BESIDE(&config, BIG, BIG, KEPT, SMALL); /* what it holds is its own */
        assert_int_equal(fit.verdict, HL_FIT_NOW);

        models[SMALL].claim.bytes[0] = GIB + 1;
        fit = BESIDE(&config, BIG, KEPT, SMALL, NOTHING);
        assert_int_equal(fit.verdict, HL_FIT_LATER);
        assert_true(fit.lacks[0] == 1 && fit.lacks[HL_MEMORY] == 0 && !fit.rival);
        assert_string_equal(words,
                            "gpu 0 has 23 GiB: active-2 (2 GiB, kept), activating-3 (1 GiB); active-1 needs 20 GiB");
        const struct hl_holder small = { .model = &models[SMALL] }, nothing = { .model = &models[NOTHING] };
        assert_true(hl_holder_is_in_the_way(&small, &models[BIG], &fit));
        assert_false(hl_holder_is_in_the_way(&nothing, &models[BIG], &fit));

        models[BIG].claim.bytes[0] = 21 * GIB + 1;
        fit = BESIDE(&config, BIG, KEPT, SMALL);
        assert_int_equal(fit.verdict, HL_FIT_NEVER);
        assert_true(fit.lacks[0] == 1);
        assert_string_equal(words,
                            "active-1 does not fit, whatever else is stopped: gpu 0 has 23 GiB: active-2 (2 GiB, "
                            "kept); active-1 needs 21 GiB");
        models[BIG].claim.bytes[0] = 24 * GIB;
        fit = beside(&config, BIG, NULL, 0, &words);
        assert_int_equal(fit.verdict, HL_FIT_NEVER);

        const struct hl_config unlimited = { 0 }; /* nothing is said of the host */
        fit = BESIDE(&unlimited, BIG, KEPT, SMALL);
        assert_int_equal(fit.verdict, HL_FIT_NOW);
        fit = BESIDE(&config, NOTHING, BIG, KEPT, SMALL); /* it claims nothing */
        assert_int_equal(fit.verdict, HL_FIT_NOW);
        assert_string_equal(words, "");
        free(words);
}

static void members_of_a_group_exclude_each_other(void **state)
{
        (void)state;
        char *words = NULL;
        const struct hl_config unlimited = { 0 };
        struct hl_fit fit = BESIDE(&unlimited, RIVAL, BIG, IN_GROUP);
        assert_int_equal(fit.verdict, HL_FIT_LATER);
        assert_ptr_equal(fit.rival->model, &models[IN_GROUP]);
        assert_string_equal(words, "group big is deactivating-4's (running), and failed-5 is in it, too");
        assert_true(hl_holder_is_in_the_way(fit.rival, &models[RIVAL], &fit));
        fit = BESIDE(&unlimited, RIVAL, BIG, KEPT_RIVAL);
        assert_int_equal(fit.verdict, HL_FIT_NOW);

        models[IN_GROUP].claim.keep = true;
        fit = BESIDE(&unlimited, RIVAL, BIG, IN_GROUP);
        assert_int_equal(fit.verdict, HL_FIT_NEVER);
        assert_string_equal(words, "failed-5 does not fit, whatever else is stopped: group big is deactivating-4's "
                                   "(running, kept), and failed-5 is in it, too");
        free(words);
}

static void the_words_say_what_is_known(void **state)
{
        (void)state;
        struct hl_holder holders[MODELS * 3] = { 0 };
        for (size_t i = 0; i < HL_COUNT(holders); i++)
                holders[i] = (struct hl_holder){ .model = &models[SMALL], .state = HL_UNIT_ACTIVE };
        holders[0].state = HL_UNIT_STARTING;
        holders[1].state = HL_UNIT_STOPPING;
        holders[2].note = (char[]){ "1 request in flight for 40 s" };
        holders[3].ignored = true;
        const struct hl_ledger ledger = { holders, 10 };
        struct hl_fit fit = hl_fit_of(&config, &ledger, &models[BIG]);
        struct hl_err err = { 0 };
        assert_int_equal(hl_fail_fit(&config, &ledger, &models[BIG], &fit, &err), -EAGAIN);
        assert_string_equal(err.code, "no_capacity");
        assert_string_equal(err.message,
                            "gpu 0 has 23 GiB: activating-3 (1 GiB, starting), activating-3 (1 GiB, stopping), "
                            "activating-3 (1 GiB, 1 request in flight for 40 s), activating-3 (1 GiB), "
                            "activating-3 (1 GiB), activating-3 (1 GiB) and 3 more; active-1 needs 20 GiB");
        models[BIG].claim.bytes[0] = 24 * GIB;
        fit = hl_fit_of(&config, &ledger, &models[BIG]);
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_fail_fit(&config, &ledger, &models[BIG], &fit, &err), -ENOSPC);
        assert_string_equal(err.code, "model_does_not_fit");
        assert_string_equal(err.message,
                            "active-1 does not fit, whatever else is stopped: gpu 0 has 23 GiB; active-1 needs "
                            "24 GiB");
}

static int setup(void **state)
{
        make_models(state);
        return fake_host_setup(state);
}

static int teardown(void **state)
{
        free_models(state);
        return fake_host_teardown(state);
}

#define ON_HOST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_MODELS(test) cmocka_unit_test_setup_teardown(test, make_models, free_models)

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_HOST(whoever_starts_runs_or_stops_holds_what_it_claims),
                ON_HOST(who_waits_for_its_own_gate_is_told_apart),
                ON_HOST(where_nothing_runs_one_call_is_enough),
                WITH_MODELS(memory_is_counted),
                WITH_MODELS(members_of_a_group_exclude_each_other),
                WITH_MODELS(the_words_say_what_is_known),
        };
        return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
