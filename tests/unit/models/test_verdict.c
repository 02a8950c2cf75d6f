/* SPDX-License-Identifier: MIT */
/* models/verdict and model-idle-sweep/state: every reason, the second look, and what one sweep tells the next. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model-idle-sweep/state.h"
#include "models/last_use.h"
#include "models/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MINUTE HL_USEC_PER_MINUTE

/* What a model's facts are where a row does not say something else: it runs, listens, was used and started long ago. */
struct row {
        const char *what;
        enum hl_unit_state active;
        uint16_t port;
        uint64_t threshold_us, idle_us;
        unsigned in_flight;
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
                uint64_t unused_us;
        } rows[] = {
                { "idle", HL_UNIT_ACTIVE, 1, MINUTE, OLD, 7, 0, 7 * MINUTE },
                { "pinned, but not used", HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, OLD, 7, 0, 7 * MINUTE },
                { "in flight", HL_UNIT_ACTIVE, 1, MINUTE, OLD, 7, 1, 0 },
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
                                                .in_flight = rows[i].in_flight };
                const struct hl_verdict v = hl_verdict_decide(&config, &model, &usage);
                if (v.unused_us != rows[i].unused_us)
                        fail_msg("%s: %llu us", rows[i].what, (unsigned long long)v.unused_us);
        }
}

struct stopping {
        struct fake_systemd systemd;
        struct fake_bus fake;
        struct hl_bus bus;
        struct hl_config config;
        struct hl_model model;
        struct hl_verdict verdict;
        struct hl_job job;
        int hold;
        struct hl_err err;
};

/* A systemd that looks, when it is asked to stop the model, whether a touch would have to wait. */
static bool was_held;

static int answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        if (strcmp(member, "StopUnit") == 0) {
                int fd = open(test_path(getenv("STATE_DIRECTORY"), "activity/m"), O_RDONLY | O_CLOEXEC);
                was_held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
                close(fd);
        }
        return fake_systemd_answer(fake, call, member);
}

static int try_stop(struct stopping *s)
{
        s->err = (struct hl_err){ 0 };
        s->hold = -1;
        fake_start(&s->fake, answer, &s->systemd, &s->bus);
        return hl_sweep_stop(&s->bus, &s->config, &s->model, &s->verdict, &s->job, &s->hold, &s->err);
}

static void end_stop(struct stopping *s)
{
        hl_job_free(&s->job);
        hl_close_fd(&s->hold);
        fake_stop(&s->fake, &s->bus);
}

static void the_second_look(void **state)
{
        (void)state;
        struct stopping s = { .systemd = { .job_result = "done", .state_after = "inactive" },
                              .config = { .host_idle_us = HL_USEC_INFINITY },
                              .model = { .name = "m",
                                         .unit = (char[]){ "model@active-1.service" },
                                         .file_path = (char[]){ "/nonexistent" },
                                         .idle_timeout_us = 1 } };
        assert_int_equal(try_stop(&s), 1);
        assert_int_equal(s.verdict.reason, HL_VERDICT_IDLE);
        assert_int_equal(fake_count(&s.fake, "StopUnit"), 1);
        assert_true(was_held);
        const struct hl_wait wait = hl_wait_until(test_deadline());
        assert_int_equal(hl_job_wait(&s.job, &wait, &s.err), 0);
        assert_true(hl_last_use_is_stopping("m")); /* by whom is not asked: another process would see the same */
        end_stop(&s);
        assert_false(hl_last_use_is_stopping("m"));
        assert_true(hl_last_use_at("m") == 0); /* it was held, and not used */

        assert_int_equal(hl_last_use_record("m", &s.err), 0); /* a request came in the very last moment */
        s.model.idle_timeout_us = MINUTE;
        assert_int_equal(try_stop(&s), 0);
        assert_int_equal(s.verdict.reason, HL_VERDICT_RECENTLY_USED);
        assert_null(s.job.path);
        assert_int_equal(fake_count(&s.fake, "StopUnit"), 0);
        end_stop(&s);

        s.model.unit = (char[]){ "model@failed-1.service" }; /* it ended by itself */
        assert_int_equal(try_stop(&s), 0);
        assert_int_equal(s.verdict.reason, HL_VERDICT_FAILED);
        end_stop(&s);
}

static void a_stop_that_fails_is_told(void **state)
{
        (void)state;
        struct stopping s = { .systemd = { .refusal = SD_BUS_ERROR_ACCESS_DENIED },
                              .config = { .host_idle_us = HL_USEC_INFINITY },
                              .model = { .name = "m",
                                         .unit = (char[]){ "model@active-1.service" },
                                         .file_path = (char[]){ "/nonexistent" },
                                         .idle_timeout_us = 1 } };
        assert_int_equal(try_stop(&s), -EACCES);
        assert_null(s.job.path);
        end_stop(&s);

        s.systemd = (struct fake_systemd){ .refusal = "org.freedesktop.systemd1.NoSuchUnit" }; /* its file is gone */
        assert_int_equal(try_stop(&s), -ENOENT);
        assert_int_equal(s.err.kind, HL_ERR_UPSTREAM);
        end_stop(&s);

        s.systemd = (struct fake_systemd){ .list_error = SD_BUS_ERROR_NO_REPLY };
        assert_true(try_stop(&s) < 0);
        end_stop(&s);
        s.systemd = (struct fake_systemd){ 0 };
        setenv("STATE_DIRECTORY", "/nonexistent", 1); /* a model that cannot be held is not stopped */
        assert_int_equal(try_stop(&s), -ENOENT);
        end_stop(&s);
}

static void memory_is_kept(void **state)
{
        must(setenv("RUNTIME_DIRECTORY", *state, 1) == 0);
        struct hl_sweep_state m = { .suspended_total_us = 1,
                                    .resumed_us = 2,
                                    .used_us = UINT64_MAX,
                                    .acted_us = 4,
                                    .shutdown_at_us = 5 },
                              read;
        struct hl_err err = { 0 };
        hl_sweep_state_load(&read);
        assert_false(read.known);
        hl_sweep_state_add(&m.in_flight, "a.1:b");
        hl_sweep_state_add(&m.in_flight, "c");
        hl_sweep_state_add(&m.by_nginx, "d");
        m.swept_us = 77;
        assert_int_equal(hl_sweep_state_save(&m, &err), 0);
        hl_sweep_state_load(&read);
        assert_true(read.known && read.suspended_total_us == 1 && read.resumed_us == 2 && read.used_us == UINT64_MAX &&
                    read.acted_us == 4 && read.shutdown_at_us == 5);
        assert_true(hl_sweep_state_has(&read.in_flight, "a.1:b") && hl_sweep_state_has(&read.in_flight, "c"));
        assert_true(hl_sweep_state_has(&read.by_nginx, "d"));
        assert_int_equal(read.swept_us, 77);
        assert_false(hl_sweep_state_has(&read.in_flight, "a") || hl_sweep_state_has(&read.kept, "c"));
        hl_sweep_state_free(&read);
        hl_sweep_state_free(&m);

        test_write(*state, "memory", "USED_US=later\nIN_FLIGHT=a\n"); /* what cannot be read is not known */
        hl_sweep_state_load(&read);
        assert_true(!read.known && read.used_us == 0 && read.in_flight.len == 0);
        must(setenv("RUNTIME_DIRECTORY", "/nonexistent", 1) == 0);
        assert_int_equal(hl_sweep_state_save(&m, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        must(unsetenv("RUNTIME_DIRECTORY") == 0);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_reason),
                cmocka_unit_test(every_word),
                cmocka_unit_test(what_is_active_and_what_is_overdue),
                cmocka_unit_test(for_how_long_the_host_is_unused),
                IN_FOLDER(the_second_look),
                IN_FOLDER(a_stop_that_fails_is_told),
                IN_FOLDER(memory_is_kept),
        };
        return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
