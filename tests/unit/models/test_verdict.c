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

static void every_reason(void **state)
{
        (void)state;
        static const struct {
                enum hl_unit_state active;
                uint16_t port;
                uint64_t threshold_us, idle_us;
                unsigned in_flight;
                bool is_idle;
                enum hl_sweep_reason reason;
                const char *name, *explanation;
                uint64_t stops_in_us;
                bool is_loading, is_changed;
        } rows[] = {
                { HL_UNIT_INACTIVE, 1, MINUTE, HL_USEC_INFINITY, 0, false, HL_SWEEP_STOPPED, "stopped", "does not run",
                  HL_USEC_INFINITY },
                { HL_UNIT_FAILED, 1, MINUTE, 9 * MINUTE, 0, false, HL_SWEEP_FAILED, "failed", "it failed",
                  HL_USEC_INFINITY },
                { HL_UNIT_STARTING, 1, MINUTE, HL_USEC_INFINITY, 0, false, HL_SWEEP_STARTING, "starting", "is starting",
                  HL_USEC_INFINITY },
                { HL_UNIT_STOPPING, 1, MINUTE, 9 * MINUTE, 1, false, HL_SWEEP_STOPPING, "stopping", "is stopping",
                  HL_USEC_INFINITY },
                { HL_UNIT_ACTIVE, 0, HL_USEC_INFINITY, 9 * MINUTE, 0, false, HL_SWEEP_NO_PORT, "no_port", "no PORT",
                  HL_USEC_INFINITY },
                { HL_UNIT_ACTIVE, 1, HL_USEC_INFINITY, 9 * MINUTE, 0, false, HL_SWEEP_PINNED, "pinned",
                  "unused for 9min 00s", HL_USEC_INFINITY },
                { HL_UNIT_ACTIVE, 1, MINUTE, 9 * MINUTE, 1, false, HL_SWEEP_IN_FLIGHT, "in_flight",
                  "has 1 request in flight", HL_USEC_INFINITY },
                { HL_UNIT_ACTIVE, 1, MINUTE, 0, 2, false, HL_SWEEP_IN_FLIGHT, "in_flight", "has 2 requests in flight",
                  HL_USEC_INFINITY },
                { HL_UNIT_ACTIVE, 1, MINUTE, MINUTE / 4, 0, false, HL_SWEEP_RECENTLY_USED, "recently_used",
                  "unused for 15s, not longer than 1min 00s", MINUTE * 3 / 4 },
                { HL_UNIT_ACTIVE, 1, MINUTE, MINUTE, 0, false, HL_SWEEP_RECENTLY_USED, "recently_used", "unused", 0 },
                { HL_UNIT_ACTIVE, 1, MINUTE, 2 * MINUTE, 0, false, HL_SWEEP_LOADING, "loading", "is loading",
                  HL_USEC_INFINITY, true },
                { HL_UNIT_ACTIVE, 1, MINUTE, 2 * MINUTE, 0, false, HL_SWEEP_CHANGED, "changed", "restart it",
                  HL_USEC_INFINITY, false, true },
                { HL_UNIT_ACTIVE, 0, MINUTE, 2 * MINUTE, 0, true, HL_SWEEP_IDLE, "idle", "longer than 1min 00s", 0 },
                { HL_UNIT_ACTIVE, 1, MINUTE, 2 * MINUTE, 0, true, HL_SWEEP_IDLE, "idle",
                  "unused for 2min 00s, longer than 1min 00s, and nothing in flight", 0 },
        };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                const struct hl_model model = { .port = rows[i].port, .idle_timeout_us = rows[i].threshold_us };
                const struct hl_usage usage = { .active = rows[i].active,
                                                .idle_us = rows[i].idle_us,
                                                .in_flight = rows[i].in_flight,
                                                .is_idle = rows[i].is_idle,
                                                .is_loading = rows[i].is_loading,
                                                .is_changed = rows[i].is_changed };
                struct hl_sweep_decision d = hl_sweep_decide(&model, &usage);
                char *explanation = hl_sweep_explain(&d);
                if (d.reason != rows[i].reason || d.stops_in_us != rows[i].stops_in_us ||
                    strcmp(hl_sweep_reason_name(d.reason), rows[i].name) != 0 ||
                    !strstr(explanation, rows[i].explanation))
                        fail_msg("row %zu: %s: %s", i, hl_sweep_reason_name(d.reason), explanation);
                assert_true(d.idle_us == rows[i].idle_us && d.threshold_us == rows[i].threshold_us &&
                            d.in_flight == rows[i].in_flight);
                free(explanation);
        }
}

struct stopping {
        struct fake_systemd systemd;
        struct fake_bus fake;
        struct hl_bus bus;
        struct hl_config config;
        struct hl_model model;
        struct hl_sweep_decision decision;
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
        return hl_sweep_stop(&s->bus, &s->config, &s->model, &s->decision, &s->job, &s->hold, &s->err);
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
        assert_int_equal(s.decision.reason, HL_SWEEP_IDLE);
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
        assert_int_equal(s.decision.reason, HL_SWEEP_RECENTLY_USED);
        assert_null(s.job.path);
        assert_int_equal(fake_count(&s.fake, "StopUnit"), 0);
        end_stop(&s);

        s.model.unit = (char[]){ "model@failed-1.service" }; /* it ended by itself */
        assert_int_equal(try_stop(&s), 0);
        assert_int_equal(s.decision.reason, HL_SWEEP_FAILED);
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
                IN_FOLDER(the_second_look),
                IN_FOLDER(a_stop_that_fails_is_told),
                IN_FOLDER(memory_is_kept),
        };
        return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
