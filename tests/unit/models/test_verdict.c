/* SPDX-License-Identifier: MIT */
/* models/verdict: every reason, and what else the facts mean. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/verdict.h"

#include <errno.h>
#include <stdlib.h>

#define MINUTE HL_USEC_PER_MINUTE

/* What a model's facts are where a row does not say something else: it runs, listens, was used and started long ago. */
struct row {
        const char *what;
        enum hl_unit_state active;
        uint16_t port;
        uint64_t threshold_us, idle_us;
        unsigned in_flight;
        uint64_t kept_us;
        bool loads, moved, ended_unseen, is_unreadable;
        enum hl_verdict_reason reason;
        const char *name, *explanation;
        uint64_t stops_in_us;
};

static struct hl_verdict verdict_of(const struct row *row)
{
        const struct hl_config config = { .active_threshold_us = MINUTE };
        const struct hl_model model = { .port = row->port,
                                        .idle_timeout_us = row->threshold_us,
                                        .read_error = row->is_unreadable ? EACCES : 0 };
        const struct hl_usage usage = { .active = row->active,
                                        .idle_us = row->idle_us,
                                        .request_age_us = row->idle_us,
                                        .start_age_us = HL_USEC_INFINITY,
                                        .in_flight = row->in_flight,
                                        .kept_us = row->kept_us,
                                        .loads = row->loads,
                                        .moved = row->moved,
                                        .ended_unseen = row->ended_unseen };
        return hl_verdict_decide(&config, &model, &usage);
}

#define RUNS .active = HL_UNIT_ACTIVE, .port = 1, .threshold_us = MINUTE
#define NOT_SOON .stops_in_us = HL_USEC_INFINITY

static const struct row reasons[] = {
        { "stopped", HL_UNIT_INACTIVE, 1, MINUTE, HL_USEC_INFINITY, .reason = HL_VERDICT_STOPPED, .name = "stopped",
          .explanation = "does not run", NOT_SOON },
        { "failed", HL_UNIT_FAILED, 1, MINUTE, 9 * MINUTE, .reason = HL_VERDICT_FAILED, .name = "failed",
          .explanation = "does not run: it failed", NOT_SOON },
        { "starting", HL_UNIT_STARTING, 1, MINUTE, HL_USEC_INFINITY, .reason = HL_VERDICT_STARTING, .name = "starting",
          .explanation = "is starting", NOT_SOON },
        { "stopping", HL_UNIT_STOPPING, 1, MINUTE, 9 * MINUTE, .in_flight = 1, .reason = HL_VERDICT_STOPPING,
          .name = "stopping", .explanation = "is stopping", NOT_SOON },
        { "without a port", HL_UNIT_ACTIVE, 0, HL_USEC_INFINITY, 9 * MINUTE, .reason = HL_VERDICT_NO_PORT,
          .name = "no_port", .explanation = "has no PORT, so nobody can tell whether it is in use, and no IDLE_TIMEOUT",
          NOT_SOON },
        { "unreadable", HL_UNIT_ACTIVE, 0, MINUTE, 9 * MINUTE, .is_unreadable = true, .reason = HL_VERDICT_UNREADABLE,
          .name = "unreadable",
          .explanation = "has a file that cannot be read, so nobody can tell whether it is in use: "
                         "\"home-lab-services check\" says why",
          NOT_SOON },
        { "pinned", HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, 9 * MINUTE, .reason = HL_VERDICT_PINNED, .name = "pinned",
          .explanation = "is pinned (IDLE_TIMEOUT=never), unused for 9min 00s", NOT_SOON },
        { "kept", RUNS, .idle_us = 9 * MINUTE, .kept_us = 5 * MINUTE, .loads = true, .reason = HL_VERDICT_KEPT,
          .name = "kept", .explanation = "is kept for another 5min 00s, unused for 9min 00s",
          .stops_in_us = 5 * MINUTE },
        { "kept, and used", RUNS, .kept_us = MINUTE / 2, .reason = HL_VERDICT_KEPT, .name = "kept",
          .explanation = "is kept for another 30s, unused for 0s", .stops_in_us = MINUTE },
        { "kept, with a request", RUNS, .kept_us = MINUTE, .in_flight = 1, .reason = HL_VERDICT_KEPT, .name = "kept",
          .explanation = "is kept for another 1min 00s, unused for 0s", NOT_SOON },
        { "a request", RUNS, .idle_us = 9 * MINUTE, .in_flight = 1, .reason = HL_VERDICT_IN_FLIGHT, .name = "in_flight",
          .explanation = "has 1 request in flight", NOT_SOON },
        { "two requests", RUNS, .in_flight = 2, .reason = HL_VERDICT_IN_FLIGHT, .name = "in_flight",
          .explanation = "has 2 requests in flight", NOT_SOON },
        { "used just now", RUNS, .idle_us = MINUTE / 4, .reason = HL_VERDICT_RECENTLY_USED, .name = "recently_used",
          .explanation = "unused for 15s, not longer than 1min 00s", .stops_in_us = MINUTE * 3 / 4 },
        { "at its end", RUNS, .idle_us = MINUTE, .reason = HL_VERDICT_RECENTLY_USED, .name = "recently_used",
          .explanation = "unused for 1min 00s, not longer than 1min 00s", .stops_in_us = 0 },
        { "ended unseen", RUNS, .idle_us = 9 * MINUTE, .ended_unseen = true, .reason = HL_VERDICT_RECENTLY_USED,
          .name = "recently_used", .explanation = "unused for 0s, not longer than 1min 00s", .stops_in_us = MINUTE },
        { "loading", RUNS, .idle_us = 2 * MINUTE, .loads = true, .moved = true, .reason = HL_VERDICT_LOADING,
          .name = "loading", .explanation = "is loading: in its START_TIMEOUT, or because it says so, or works",
          NOT_SOON },
        { "moved", RUNS, .idle_us = 2 * MINUTE, .moved = true, .reason = HL_VERDICT_CHANGED, .name = "changed",
          .explanation = "runs with an older file, and not on the PORT that the file names now: restart it", NOT_SOON },
        { "idle", RUNS, .idle_us = 2 * MINUTE, .reason = HL_VERDICT_IDLE, .name = "idle",
          .explanation = "unused for 2min 00s, longer than 1min 00s, and nothing in flight" },
        { "idle, without a port", HL_UNIT_ACTIVE, 0, MINUTE, 2 * MINUTE, .reason = HL_VERDICT_IDLE, .name = "idle",
          .explanation = "unused for 2min 00s, longer than 1min 00s, and nothing in flight" },
};

static void every_reason(void **state)
{
        (void)state;
        for (size_t i = 0; i < HL_COUNT(reasons); i++) {
                const struct hl_verdict v = verdict_of(&reasons[i]);
                if (v.reason != reasons[i].reason)
                        fail_msg("%s: it is %s", reasons[i].what, hl_verdict_name(v.reason));
                if (v.stops_in_us != reasons[i].stops_in_us)
                        fail_msg("%s: stops in %llu us", reasons[i].what, (unsigned long long)v.stops_in_us);
        }
}

static void every_word(void **state)
{
        (void)state;
        for (size_t i = 0; i < HL_COUNT(reasons); i++) {
                const struct hl_verdict v = verdict_of(&reasons[i]);
                char *explanation = hl_verdict_explain(&v);
                assert_string_equal(hl_verdict_name(v.reason), reasons[i].name);
                assert_string_equal(explanation, reasons[i].explanation);
                free(explanation);
        }
}

static void what_is_active_and_what_is_overdue(void **state)
{
        (void)state;
        static const struct {
                struct row facts;
                bool is_active, is_overdue;
        } rows[] = {
                { { "used just now", RUNS, .idle_us = 1 }, true, false },
                { { "at the end of both", RUNS, .idle_us = MINUTE }, true, false },
                { { "idle", RUNS, .idle_us = MINUTE + 1 }, false, true },
                { { "in flight for long", RUNS, .idle_us = MINUTE + 1, .in_flight = 1 }, true, true },
                { { "ended unseen", RUNS, .idle_us = MINUTE + 1, .ended_unseen = true }, true, false },
                { { "pinned", HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, 9 * MINUTE }, false, false },
                { { "stopped", HL_UNIT_INACTIVE, 1, MINUTE, 9 * MINUTE }, false, false },
                { { "stopped just now", HL_UNIT_INACTIVE, 1, MINUTE, 1 }, true, false },
                { { "never used", HL_UNIT_INACTIVE, 1, MINUTE, HL_USEC_INFINITY }, false, false },
        };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                const struct hl_verdict v = verdict_of(&rows[i].facts);
                if (v.is_active != rows[i].is_active || v.is_overdue != rows[i].is_overdue)
                        fail_msg("%s: active %d, overdue %d", rows[i].facts.what, v.is_active, v.is_overdue);
        }
}

/* The host's clock stands still while a model may be in use. */
static void for_how_long_the_host_is_unused(void **state)
{
        (void)state;
        enum { OLD = 9 };
        static const struct {
                const char *what;
                enum hl_unit_state active;
                uint16_t port;
                uint64_t timeout_us, start_minutes, request_minutes;
                unsigned in_flight;
                uint64_t unused_us, kept_us;
        } rows[] = {
                { "idle", HL_UNIT_ACTIVE, 1, MINUTE, OLD, 7, 0, 7 * MINUTE },
                { "pinned, but not used", HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, OLD, 7, 0, 7 * MINUTE },
                { "in flight", HL_UNIT_ACTIVE, 1, MINUTE, OLD, 7, 1, 0 },
                { "kept", HL_UNIT_ACTIVE, 1, MINUTE, OLD, 7, 0, 0, MINUTE },
                { "kept, but stopped", HL_UNIT_INACTIVE, 1, MINUTE, OLD, 7, 0, 7 * MINUTE, MINUTE },
                { "nobody can tell", HL_UNIT_ACTIVE, 0, HL_USEC_INFINITY, OLD, 7, 0, 0 },
                { "without a port", HL_UNIT_ACTIVE, 0, MINUTE, OLD, 7, 0, 7 * MINUTE },
                { "may be loading", HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, 1, 7, 0, 0 },
                { "starting", HL_UNIT_STARTING, 1, MINUTE, OLD, 7, 0, 0 },
                { "stopping", HL_UNIT_STOPPING, 1, MINUTE, OLD, 7, 0, 0 },
                { "stopped", HL_UNIT_INACTIVE, 1, MINUTE, OLD, 3, 0, 3 * MINUTE },
                { "failed", HL_UNIT_FAILED, 1, MINUTE, OLD, 7, 0, 7 * MINUTE },
        };
        const struct hl_config config = { .active_threshold_us = MINUTE };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                uint64_t start_us = rows[i].start_minutes * MINUTE, request_us = rows[i].request_minutes * MINUTE;
                const struct hl_model model = { .port = rows[i].port,
                                                .idle_timeout_us = rows[i].timeout_us,
                                                .start_timeout_us = MINUTE };
                const struct hl_usage usage = { .active = rows[i].active,
                                                .idle_us = start_us < request_us ? start_us : request_us,
                                                .request_age_us = request_us,
                                                .start_age_us = start_us,
                                                .kept_us = rows[i].kept_us,
                                                .in_flight = rows[i].in_flight };
                const struct hl_verdict v = hl_verdict_decide(&config, &model, &usage);
                if (v.unused_us != rows[i].unused_us)
                        fail_msg("%s: %llu us", rows[i].what, (unsigned long long)v.unused_us);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_reason),
                cmocka_unit_test(every_word),
                cmocka_unit_test(what_is_active_and_what_is_overdue),
                cmocka_unit_test(for_how_long_the_host_is_unused),
        };
        return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
