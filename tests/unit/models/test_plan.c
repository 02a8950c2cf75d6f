/* SPDX-License-Identifier: MIT */
/* models/plan: what is to leave, against a search through all sets, and the rules one by one. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDERS_MAX 8
#define CASES 20000
#define SECOND HL_USEC_PER_SEC
#define RESIDENCY (30 * SECOND)

/* One host: what it has, what holds it, and the model that is to start, with names by their place. */
struct host {
        struct hl_config config;
        struct hl_model models[HOLDERS_MAX + 1]; /* the last is to start */
        struct hl_holder holders[HOLDERS_MAX];
        struct hl_plan_fact facts[HOLDERS_MAX];
        struct hl_ledger ledger;
        char units[HOLDERS_MAX + 1][16];
        bool is_starving;
};

static const size_t used[] = { 0, 1, HL_MEMORY }; /* resources that cases are about */

static void prepare(struct host *host, size_t count)
{
        host->ledger = (struct hl_ledger){ .holders = host->holders, .count = count };
        for (size_t i = 0; i <= count; i++) {
                struct hl_model *model = &host->models[i < count ? i : HOLDERS_MAX];
                snprintf(host->units[i], sizeof(host->units[i]), "m%zu", i);
                model->unit = host->units[i];
                if (i < count)
                        host->holders[i].model = model;
        }
}

static const struct hl_model *wanted(const struct host *host)
{
        return &host->models[HOLDERS_MAX];
}

static enum hl_plan plan(struct host *host)
{
        enum hl_plan made = hl_plan_make(&host->config, &host->ledger, host->facts, wanted(host), host->is_starving);
        for (size_t i = 0; i < host->ledger.count; i++)
                assert_false(host->holders[i].ignored);
        return made;
}

/* ---- generated hosts, and a search through all sets, with sums of its own ---- */

static unsigned below(unsigned *seed, unsigned count)
{
        return (unsigned)rand_r(seed) / 7 % count;
}

static void generate_claim(struct hl_claim *claim, unsigned *seed)
{
        static char a[] = "a", b[] = "b", both[] = "a,b", *const groups[] = { NULL, NULL, NULL, a, b, both };
        for (size_t i = 0; i < HL_COUNT(used); i++)
                claim->bytes[used[i]] = below(seed, 2) ? below(seed, 7) : 0;
        claim->groups = groups[below(seed, HL_COUNT(groups))];
        claim->keep = below(seed, 6) == 0;
}

static void generate(struct host *host, unsigned *seed)
{
        static const enum hl_unit_state states[] = { HL_UNIT_ACTIVE, HL_UNIT_ACTIVE,   HL_UNIT_ACTIVE,
                                                     HL_UNIT_ACTIVE, HL_UNIT_STARTING, HL_UNIT_STOPPING };
        *host = (struct host){ .is_starving = below(seed, 2) };
        prepare(host, below(seed, HOLDERS_MAX + 1));
        host->config.capacity.min_residency_us = RESIDENCY;
        for (size_t i = 0; i < HL_COUNT(used); i++)
                host->config.capacity.bytes[used[i]] = below(seed, 4) ? 4 + below(seed, 12) : 0;
        for (size_t i = 0; i < host->ledger.count; i++) {
                generate_claim(&host->models[i].claim, seed);
                host->holders[i].state = states[below(seed, HL_COUNT(states))];
                host->facts[i] = (struct hl_plan_fact){ .in_flight = below(seed, 4) == 0,
                                                        .is_coming = below(seed, 8) == 0,
                                                        .is_wanted = below(seed, 8) == 0,
                                                        .is_loaded = below(seed, 8) != 0,
                                                        .resident_us = below(seed, 200) * SECOND,
                                                        .idle_us = below(seed, 500) * SECOND,
                                                        .load_us = below(seed, 30) * SECOND };
        }
        generate_claim(&host->models[HOLDERS_MAX].claim, seed);
}

static bool share_a_group(const struct hl_claim *a, const struct hl_claim *b)
{
        return a->groups && b->groups &&
               (strcmp(a->groups, b->groups) == 0 || strlen(a->groups) > 1 || strlen(b->groups) > 1);
}

/* Whether the model fits beside the holders of this set of bits. */
static bool fits_beside(const struct host *host, unsigned set)
{
        const struct hl_claim *claim = &wanted(host)->claim;
        uint64_t sum[HL_RESOURCES];
        memcpy(sum, claim->bytes, sizeof(sum));
        for (size_t i = 0; i < host->ledger.count; i++) {
                if (!(set >> i & 1))
                        continue;
                if (share_a_group(claim, &host->models[i].claim))
                        return false;
                for (size_t j = 0; j < HL_RESOURCES; j++)
                        sum[j] += host->models[i].claim.bytes[j];
        }
        for (size_t j = 0; j < HL_RESOURCES; j++)
                if (claim->bytes[j] > 0 && host->config.capacity.bytes[j] > 0 &&
                    sum[j] > host->config.capacity.bytes[j])
                        return false;
        return true;
}

static unsigned set_of(const struct host *host, bool (*is_in)(const struct host *host, size_t i))
{
        unsigned set = 0;
        for (size_t i = 0; i < host->ledger.count; i++)
                set |= (unsigned)is_in(host, i) << i;
        return set;
}

static bool stops(const struct host *host, size_t i)
{
        return host->holders[i].state == HL_UNIT_STOPPING;
}

static bool is_kept(const struct host *host, size_t i)
{
        return host->models[i].claim.keep && !stops(host, i);
}

static bool may_leave_once_idle(const struct host *host, size_t i)
{
        const struct hl_plan_fact *f = &host->facts[i];
        return host->holders[i].state == HL_UNIT_ACTIVE && !host->models[i].claim.keep && f->is_loaded &&
               !f->is_wanted && f->resident_us >= RESIDENCY;
}

static bool may_leave(const struct host *host, size_t i)
{
        return may_leave_once_idle(host, i) && host->facts[i].in_flight == 0 && !host->facts[i].is_coming;
}

static bool leaves(const struct host *host, size_t i)
{
        return host->facts[i].leaves;
}

static uint64_t loss_of(const struct host *host, unsigned set)
{
        uint64_t loss = 0;
        for (size_t i = 0; i < host->ledger.count; i++)
                if (set >> i & 1)
                        loss += hl_plan_loss(&host->facts[i]);
        return loss;
}

/* The least loss of all sets of these whose leaving makes room; UINT64_MAX: there is none. */
static uint64_t least_loss(const struct host *host, unsigned there, unsigned candidates)
{
        uint64_t least = UINT64_MAX;
        for (unsigned set = 0; set <= candidates; set++)
                if ((set & candidates) == set && fits_beside(host, there & ~set) && loss_of(host, set) < least)
                        least = loss_of(host, set);
        return least;
}

static unsigned expect_planned(struct host *host)
{
        unsigned all = (1u << host->ledger.count) - 1, there = all & ~set_of(host, stops);
        uint64_t now = least_loss(host, there, set_of(host, may_leave)),
                 later = least_loss(host, there, set_of(host, may_leave_once_idle));
        enum hl_plan made = plan(host);
        unsigned leaving = set_of(host, leaves);
        if (fits_beside(host, all)) {
                assert_int_equal(made, HL_PLAN_START);
        } else if (!fits_beside(host, set_of(host, is_kept))) {
                assert_int_equal(made, HL_PLAN_NEVER);
        } else if (fits_beside(host, there)) {
                assert_int_equal(made, HL_PLAN_WAIT);
        } else if (now != UINT64_MAX) {
                assert_int_equal(made, HL_PLAN_EVICT);
                assert_true(fits_beside(host, there & ~leaving));
                assert_int_equal(leaving & ~set_of(host, may_leave), 0);
                assert_int_equal(loss_of(host, leaving), now);
                return 1u << made;
        } else {
                assert_int_equal(made, HL_PLAN_WAIT);
                if (host->is_starving && later != UINT64_MAX) {
                        assert_int_equal(loss_of(host, leaving), later);
                        return 1u << made | 1u << 8;
                }
        }
        assert_int_equal(leaving, 0);
        return 1u << made;
}

static void it_is_the_best_of_all_sets(void **state)
{
        (void)state;
        unsigned seed = 1, seen = 0;
        for (unsigned i = 0; i < CASES; i++) {
                struct host host;
                generate(&host, &seed);
                seen |= expect_planned(&host);
        }
        assert_int_equal(seen, 1u << HL_PLAN_START | 1u << HL_PLAN_EVICT | 1u << HL_PLAN_WAIT | 1u << HL_PLAN_NEVER |
                                       1u << 8);
}

/* ---- the rules, one by one: GPU 0 has 10, and so much is wanted of it ---- */

static struct host gpu(uint64_t first, uint64_t second, uint64_t needs)
{
        struct host host = { .config.capacity = { .bytes = { 10 }, .min_residency_us = RESIDENCY } };
        const uint64_t bytes[] = { first, second };
        for (size_t i = 0; i < HL_COUNT(bytes); i++) {
                host.models[i].claim.bytes[0] = bytes[i];
                host.holders[i].state = HL_UNIT_ACTIVE;
                host.facts[i] = (struct hl_plan_fact){
                        .is_loaded = true, .resident_us = 2 * RESIDENCY, .idle_us = 20 * SECOND, .load_us = SECOND
                };
        }
        host.models[HOLDERS_MAX].claim.bytes[0] = needs;
        return host;
}

static void expect(struct host host, enum hl_plan made, bool first, bool second)
{
        prepare(&host, 2);
        assert_int_equal(plan(&host), made);
        assert_int_equal(host.facts[0].leaves, first);
        assert_int_equal(host.facts[1].leaves, second);
}

static void the_one_with_the_least_loss_leaves(void **state)
{
        (void)state;
        struct host host = gpu(5, 5, 5);
        host.facts[0].idle_us = 60 * SECOND;
        expect(host, HL_PLAN_EVICT, true, false);
        host.facts[0].load_us = 10 * SECOND; /* unused for longer, but dearer to have back */
        expect(host, HL_PLAN_EVICT, false, true);
        expect(gpu(2, 8, 8), HL_PLAN_EVICT, false, true); /* the other alone is not enough */
        expect(gpu(5, 5, 10), HL_PLAN_EVICT, true, true);
        expect(gpu(5, 5, 0), HL_PLAN_START, false, false);
        expect(gpu(5, 0, 5), HL_PLAN_START, false, false);
}

static void what_may_not_leave_stays(void **state)
{
        (void)state;
        for (unsigned why = 0; why < 5; why++) {
                struct host host = gpu(9, 0, 9);
                host.facts[0].in_flight = why == 0;
                host.facts[0].is_wanted = why == 1;
                host.facts[0].is_loaded = why != 2;
                host.facts[0].resident_us = why == 3 ? RESIDENCY - 1 : RESIDENCY;
                host.holders[0].state = why == 4 ? HL_UNIT_STARTING : HL_UNIT_ACTIVE;
                expect(host, HL_PLAN_WAIT, false, false);
                host.is_starving = true; /* then one that is busy is held up, and nobody else */
                expect(host, HL_PLAN_WAIT, why == 0, false);
        }
}

static void one_that_is_kept_never_leaves(void **state)
{
        (void)state;
        struct host host = gpu(6, 0, 6);
        host.models[0].claim.keep = true;
        host.is_starving = true;
        expect(host, HL_PLAN_NEVER, false, false);
        host.holders[0].state = HL_UNIT_STOPPING; /* somebody stops it */
        expect(host, HL_PLAN_WAIT, false, false);
        expect(gpu(0, 0, 11), HL_PLAN_NEVER, false, false);
}

static void where_all_are_too_few_none_leaves(void **state)
{
        (void)state;
        struct host host = gpu(4, 4, 9);
        host.facts[1].in_flight = 1;
        expect(host, HL_PLAN_WAIT, false, false);
        host.is_starving = true;
        expect(host, HL_PLAN_WAIT, true, true); /* both are held up until both can go */
}

static void room_that_is_coming_is_waited_for(void **state)
{
        (void)state;
        struct host host = gpu(5, 5, 5);
        host.holders[1].state = HL_UNIT_STOPPING;
        expect(host, HL_PLAN_WAIT, false, false);
        host.models[HOLDERS_MAX].claim.bytes[0] = 6; /* and not enough */
        expect(host, HL_PLAN_EVICT, true, false);
}

static void groups_exclude_each_other_without_any_capacity(void **state)
{
        (void)state;
        char big[] = "big", several[] = "chat,big";
        struct host host = gpu(4, 4, 2);
        host.config.capacity.bytes[0] = 0;
        expect(host, HL_PLAN_START, false, false);
        host.models[1].claim.groups = big;
        host.models[HOLDERS_MAX].claim.groups = several;
        expect(host, HL_PLAN_EVICT, false, true);
}

static void a_loss_is_what_it_costs_over_how_long_nobody_cared(void **state)
{
        (void)state;
        const struct hl_plan_fact fact = { .load_us = 20 * SECOND, .idle_us = 100 * SECOND },
                                  unknown = { .idle_us = 100 * SECOND }, never = { .idle_us = HL_USEC_INFINITY },
                                  now = { .load_us = UINT64_MAX };
        assert_int_equal(hl_plan_loss(&fact), 200000);
        assert_int_equal(hl_plan_loss(&unknown), 100000);
        assert_int_equal(hl_plan_loss(&never), 1);
        assert_true(hl_plan_loss(&now) < UINT64_MAX / HOLDERS_MAX);
}

/* However many there are, a plan is made in a moment, and makes room. */
static void many_are_no_trouble(void **state)
{
        (void)state;
        enum { MANY = 200 };
        struct hl_config config = { .capacity.bytes = { MANY * 10 } };
        HL_CLEANUP(hl_free_pointer) struct hl_model *models = hl_alloc((MANY + 1) * sizeof(*models));
        HL_CLEANUP(hl_free_pointer) struct hl_holder *holders = hl_alloc(MANY * sizeof(*holders));
        HL_CLEANUP(hl_free_pointer) struct hl_plan_fact *facts = hl_alloc(MANY * sizeof(*facts));
        const struct hl_ledger ledger = { .holders = holders, .count = MANY };
        unsigned seed = 2;
        uint64_t left = MANY * 10;
        for (size_t i = 0; i <= MANY; i++) {
                models[i].unit = hl_format("m%zu", i);
                models[i].claim.bytes[0] = i < MANY ? 10 : 555;
                if (i == MANY)
                        break;
                holders[i] = (struct hl_holder){ .model = &models[i], .state = HL_UNIT_ACTIVE };
                facts[i] = (struct hl_plan_fact){ .is_loaded = true, .idle_us = (1 + below(&seed, 100)) * SECOND };
        }
        assert_int_equal(hl_plan_make(&config, &ledger, facts, &models[MANY], false), HL_PLAN_EVICT);
        for (size_t i = 0; i < MANY; i++)
                left -= facts[i].leaves ? 10 : 0;
        assert_true(left + 555 <= MANY * 10);
        assert_true(left + 10 + 555 > MANY * 10); /* and no more than that */
        for (size_t i = 0; i <= MANY; i++)
                free(models[i].unit);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_is_the_best_of_all_sets),
                cmocka_unit_test(the_one_with_the_least_loss_leaves),
                cmocka_unit_test(what_may_not_leave_stays),
                cmocka_unit_test(one_that_is_kept_never_leaves),
                cmocka_unit_test(where_all_are_too_few_none_leaves),
                cmocka_unit_test(room_that_is_coming_is_waited_for),
                cmocka_unit_test(groups_exclude_each_other_without_any_capacity),
                cmocka_unit_test(a_loss_is_what_it_costs_over_how_long_nobody_cared),
                cmocka_unit_test(many_are_no_trouble),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
