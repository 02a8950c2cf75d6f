/* SPDX-License-Identifier: MIT */
/* model-router/starter: a systemd of the test's own, and small model servers. */
#include "fake_bus.h"
#include "fake_model.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model-router/starter.h"
#include "models/cause.h"
#include "models/ready_mark.h"
#include "models/turnstile.h"
#include "systemd/units.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY "HTTP/1.1 200 OK\r\n\r\n"
#define LOADING "HTTP/1.1 503 Loading model\r\n\r\n"
#define WAITERS 20 /* more than are told at once */

struct scene;

struct waiter {
        struct scene *scene;
        struct hl_waiter *wait; /* NULL once told */
        struct hl_err err;
        char cause[HL_CAUSE_SIZE];
        unsigned told;
        void (*then)(struct waiter *w);
};

struct scene {
        struct fake_systemd systemd;
        struct fake_bus fake;
        struct hl_bus bus;
        sd_event *event;
        struct hl_starter *wake;
        struct hl_model model;
        struct waiter waiters[WAITERS];
        unsigned left; /* waiters to be told before the loop ends */
};

static struct hl_model model_named(const char *name, uint16_t port)
{
        return (struct hl_model){ .name = "m",
                                  .port = port,
                                  .unit = hl_format("model@%s.service", name),
                                  .health_path = hl_strdup("/health"),
                                  .file_path = hl_strdup("/etc/models/m"),
                                  .start_timeout_us = TEST_TIMEOUT_US };
}

static void free_model(struct hl_model *model)
{
        free(model->unit);
        free(model->health_path);
        free(model->file_path);
}

/* instance: fake_bus.h tells the unit's state by it. */
static void begin(struct scene *s, const char *instance, uint16_t port, uint64_t grace_us)
{
        fake_start(&s->fake, fake_systemd_answer, &s->systemd, &s->bus);
        must(sd_event_new(&s->event) >= 0);
        must(sd_event_add_time_relative(s->event, NULL, CLOCK_MONOTONIC, TEST_TIMEOUT_US, 0, NULL,
                                        (void *)(intptr_t)-ETIME) >= 0);
        s->wake = hl_starter_new(s->event, &s->bus, grace_us);
        s->model = model_named(instance, port);
}

static void end(struct scene *s)
{
        hl_starter_free(s->wake);
        fake_stop(&s->fake, &s->bus);
        sd_event_unref(s->event);
        free_model(&s->model);
}

static void on_told(void *data, const struct hl_err *err, const char *cause)
{
        struct waiter *w = data;
        struct scene *s = w->scene;
        w->told++;
        w->err = *err;
        strcpy(w->cause, cause);
        w->wait = NULL;
        if (w->then)
                w->then(w);
        if (--s->left == 0)
                sd_event_exit(s->event, 0);
}

static void wait_for(struct scene *s, unsigned index, const struct hl_model *model)
{
        struct waiter *w = &s->waiters[index];
        w->scene = s;
        s->left++;
        w->wait = hl_starter_wait(s->wake, model, hl_clock_monotonic(), on_told, w);
        assert_int_equal(w->told, 0); /* never from within */
}

/* Of s->model, by the first so many waiters. */
static void wait_all(struct scene *s, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                wait_for(s, i, &s->model);
}

static void run(struct scene *s)
{
        assert_int_equal(sd_event_loop(s->event), 0);
}

static unsigned starts_of(struct scene *s)
{
        return fake_count(&s->fake, "StartUnit");
}

static void expect_told(const struct waiter *w, enum hl_err_kind kind, const char *code)
{
        if (w->told != 1 || w->err.kind != kind || (code && strcmp(w->err.code, code) != 0))
                fail_msg("told %u times: kind %d, %s: %s", w->told, (int)w->err.kind, w->err.code ? w->err.code : "",
                         w->err.message);
}

static void expect_in_turn(struct waiter *w)
{
        assert_true(w == w->scene->waiters || w[-1].told == 1);
}

static void many_wait_for_one_start(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS("", LOADING, LOADING, READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        assert_false(hl_starter_is_starting(s.wake, &s.model));
        wait_all(&s, WAITERS);
        assert_true(hl_starter_is_starting(s.wake, &s.model));
        for (unsigned i = 0; i < WAITERS; i++)
                s.waiters[i].then = expect_in_turn;
        run(&s);
        assert_int_equal(starts_of(&s), 1);
        assert_int_equal(server.asked, 4);
        end(&s);
        fake_model_stop(&server);
        for (unsigned i = 0; i < WAITERS; i++)
                expect_told(&s.waiters[i], HL_ERR_NONE, NULL);
}

/* Its state before the start, of its first answer, and of its last one. */
static void systemd_is_not_asked_for_each_answer(void **state)
{
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING, LOADING, LOADING, LOADING, READY));
        begin(&s, "active-9", server.port, HL_STARTER_GRACE_US);
        HL_CLEANUP(hl_free_pointer) char *mark = hl_format("%s/invocation:%s", (const char *)*state, s.model.unit);
        must(symlink("0", mark) == 0 && setenv("HL_STARTED_DIRECTORY", *state, 1) == 0);
        wait_all(&s, 1);
        run(&s);
        must(unsetenv("HL_STARTED_DIRECTORY") == 0);
        assert_int_equal(server.asked, 5);
        assert_int_equal(fake_count(&s.fake, "ListUnitsByNames"), 3);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
}

/* As when systemd is upgraded: the model loads all the same. */
static void a_systemd_that_does_not_answer_once_ends_nothing(void **state)
{
        (void)state;
        for (unsigned at = 2; at <= 3; at++) { /* 1 is before the start */
                struct scene s = {
                        .systemd = { .job_result = "done", .list_error = SD_BUS_ERROR_NO_REPLY, .list_error_at = at }
                };
                struct fake_model server;
                fake_model_start(&server, FAKE_ANSWERS(LOADING, READY));
                begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
                wait_all(&s, 1);
                run(&s);
                end(&s);
                fake_model_stop(&server);
                expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
        }
}

/* One that takes a connection and says nothing is asked once more beside that. */
static void a_silent_server_is_asked_again(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS("…", READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, 1);
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
}

/* Whoever asks later knows that it was ready since its start. */
static void one_that_was_ready_is_marked(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        uint64_t before_us = hl_clock_monotonic();
        fake_model_start(&server, FAKE_ANSWERS(LOADING, READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        assert_false(hl_ready_mark_since("m", 0));
        wait_all(&s, 1);
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
        assert_string_equal(s.waiters[0].cause, "");
        assert_true(hl_ready_mark_since("m", before_us));
        assert_false(hl_ready_mark_since("m", hl_clock_monotonic()));
}

static void a_start_that_fails_is_told_to_all(void **state)
{
        (void)state;
        uint16_t port;
        close(test_listen(&port));
        static const struct {
                struct fake_systemd systemd;
                enum hl_err_kind kind;
                const char *code;
        } cases[] = {
                { { .job_result = "failed", .state_after = "failed" }, HL_ERR_UPSTREAM, "start_failed" },
                { { .job_result = "done", .state_after = "failed", .result = "exit-code" },
                  HL_ERR_UPSTREAM,
                  "start_failed" },
                { { .job_result = "canceled", .state_after = "inactive" }, HL_ERR_CONFLICT, "job_canceled" },
                { { .refusal = "org.freedesktop.systemd1.NoSuchUnit" }, HL_ERR_UPSTREAM, "unit_unusable" },
                { { .refusal = SD_BUS_ERROR_ACCESS_DENIED }, HL_ERR_INTERNAL, "internal_error" },
                { { .list_error = SD_BUS_ERROR_NO_REPLY }, HL_ERR_BUSY, "bus_busy" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct scene s = { .systemd = cases[i].systemd };
                begin(&s, "x", port, HL_STARTER_GRACE_US);
                wait_all(&s, 2);
                run(&s);
                end(&s);
                expect_told(&s.waiters[0], cases[i].kind, cases[i].code);
                expect_told(&s.waiters[1], cases[i].kind, cases[i].code);
        }
}

static void a_unit_that_ends_while_it_loads(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done",
                                        .list_fails_after = 3,
                                        .result = "exit-code",
                                        .exit_code = CLD_EXITED,
                                        .exit_status = 7 } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, 2);
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_UPSTREAM, "start_failed");
        expect_told(&s.waiters[1], HL_ERR_UPSTREAM, "start_failed");
        assert_non_null(strstr(s.waiters[0].err.message, "ended before it was ready: exit-code, status 7"));
        assert_string_equal(
                s.waiters[0].cause,
                "ended with status 7; what it logged is not to be seen here: \"home-lab-services logs NAME\"");
        assert_non_null(strstr(s.waiters[0].err.message, s.waiters[0].cause));
}

static void who_comes_after_a_stop_starts_it_again(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done", .list_fails_after = UINT_MAX, .list_stops = true } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_for(&s, 0, &s.model);
        while (s.systemd.lists < 2) /* before the start, and behind it */
                must(sd_event_run(s.event, UINT64_MAX) >= 0);
        wait_for(&s, 1, &s.model);
        assert_int_equal(starts_of(&s), 1);
        s.systemd.list_fails_after = s.systemd.lists; /* somebody stops it now */
        wait_for(&s, 2, &s.model);
        run(&s);
        assert_int_equal(starts_of(&s), 2);
        end(&s);
        fake_model_stop(&server);
        for (unsigned i = 0; i < 3; i++)
                expect_told(&s.waiters[i], HL_ERR_UPSTREAM, "start_failed");
}

static void nobody_is_let_in_while_its_turnstile_is_up(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct hl_err err = { 0 };
        struct fake_model server;
        int fd;
        fake_model_start(&server, FAKE_ANSWERS(READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        wait_for(&s, 0, &s.model);
        for (int looks = 0; looks < 3; looks++)
                must(sd_event_run(s.event, UINT64_MAX) > 0);
        wait_for(&s, 1, &s.model); /* who comes meanwhile */
        assert_int_equal(starts_of(&s), 0);
        hl_turnstile_lower("m", &fd);
        run(&s);
        assert_int_equal(starts_of(&s), 1);
        end(&s);
        fake_model_stop(&server);
        for (unsigned i = 0; i < 2; i++)
                expect_told(&s.waiters[i], HL_ERR_NONE, NULL);
}

/* It is ready, and is to be stopped before it had the request that it was started for. */
static void nobody_is_handed_on_while_its_turnstile_is_up(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct hl_err err = { 0 };
        struct fake_model server;
        int fd;
        fake_model_start(&server, FAKE_ANSWERS(READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_for(&s, 0, &s.model);
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        while (server.asked < 1)
                must(sd_event_run(s.event, UINT64_MAX) >= 0);
        for (int looks = 0; looks < 3; looks++)
                must(sd_event_run(s.event, UINT64_MAX) > 0);
        assert_int_equal(s.waiters[0].told, 0);
        hl_turnstile_lower("m", &fd);
        run(&s);
        assert_int_equal(starts_of(&s), 2);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
}

/* Also where it has been running for long: the grace makes no wait longer than START_TIMEOUT. */
static int expect_loading(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)source;
        (void)now_us;
        const struct scene *s = data;
        assert_false(hl_starter_is_starting(s->wake, &s->model)); /* systemd has started it */
        return 0;
}

static void never_ready_is_a_timeout(void **state)
{
        (void)state;
        static const char *const instances[] = { "active-99999999999", "active-1" };
        for (size_t i = 0; i < HL_COUNT(instances); i++) {
                struct scene s = { .systemd = { .job_result = "done" } };
                struct fake_model server;
                fake_model_start(&server, FAKE_ANSWERS(LOADING));
                begin(&s, instances[i], server.port, 2 * TEST_TIMEOUT_US);
                s.model.start_timeout_us = 120 * HL_USEC_PER_MSEC;
                wait_all(&s, 1);
                must(sd_event_add_time_relative(s.event, NULL, CLOCK_MONOTONIC, 60 * HL_USEC_PER_MSEC, 1,
                                                expect_loading, &s) >= 0);
                run(&s);
                end(&s);
                fake_model_stop(&server);
                expect_told(&s.waiters[0], HL_ERR_TIMEOUT, "not_ready");
                assert_non_null(strstr(s.waiters[0].err.message, "status 503"));
                assert_non_null(strstr(s.waiters[0].cause, "status 503, it is loading"));
        }
}

static void a_job_that_does_not_end_is_a_timeout(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = NULL } };
        begin(&s, "activating-0", 1, HL_STARTER_GRACE_US);
        s.model.start_timeout_us = 60 * HL_USEC_PER_MSEC;
        wait_all(&s, 2);
        run(&s);
        assert_int_equal(starts_of(&s), 1);
        end(&s);
        expect_told(&s.waiters[0], HL_ERR_TIMEOUT, "still_working");
        expect_told(&s.waiters[1], HL_ERR_TIMEOUT, "still_working");
}

/* Up since the host's first second, and its server hangs: START_TIMEOUT is over long ago. */
static void one_that_runs_for_long_gets_only_a_grace(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        const uint64_t grace_us = 80 * HL_USEC_PER_MSEC, timeout_us = 4 * HL_USEC_PER_SEC;
        uint64_t began_us = hl_clock_monotonic();
        must(began_us > timeout_us + HL_USEC_PER_SEC);
        fake_model_start(&server, FAKE_ANSWERS("…"));
        begin(&s, "active-1", server.port, grace_us);
        s.model.start_timeout_us = timeout_us;
        wait_all(&s, 1);
        run(&s);
        uint64_t took_us = hl_clock_monotonic() - began_us;
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_TIMEOUT, "not_ready");
        assert_true(took_us < timeout_us);
}

/* It was active once, and is about to be again: all of its START_TIMEOUT is its own. */
static void one_that_restarts_has_its_time(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done", .state_after = "activating" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING, LOADING, LOADING, READY));
        begin(&s, "active-1", server.port, 60 * HL_USEC_PER_MSEC);
        s.model.start_timeout_us = 4 * HL_USEC_PER_SEC;
        wait_all(&s, 1);
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
}

static void leave_others(struct waiter *w)
{
        for (unsigned i = 0; i < WAITERS; i++) {
                struct waiter *other = &w->scene->waiters[i];
                if (other->wait) {
                        hl_starter_leave(hl_steal(other->wait));
                        w->scene->left--;
                }
        }
}

static void who_leaves_is_not_told(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING, READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, WAITERS);
        static const unsigned leaving[] = { 0, 2 }; /* the last of the list, and one in its middle */
        for (size_t i = 0; i < HL_COUNT(leaving); i++) {
                hl_starter_leave(hl_steal(s.waiters[leaving[i]].wait));
                s.left--;
        }
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[1], HL_ERR_NONE, NULL);
        expect_told(&s.waiters[3], HL_ERR_NONE, NULL);
        assert_int_equal(s.waiters[0].told + s.waiters[2].told, 0);
}

static void stop_the_loop(struct waiter *w)
{
        sd_event_exit(w->scene->event, 0);
}

/* A router that ends meanwhile hands the others back: they are told nothing. */
static void not_all_are_told_at_once(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, WAITERS);
        s.waiters[0].then = stop_the_loop;
        run(&s);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
        assert_int_equal(s.waiters[WAITERS - 1].told, 0);
}

static void who_is_told_may_leave_others(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, WAITERS);
        for (unsigned i = 0; i < WAITERS; i++)
                s.waiters[i].then = leave_others;
        run(&s);
        end(&s);
        fake_model_stop(&server);
        unsigned told = 0;
        for (unsigned i = 0; i < WAITERS; i++)
                told += s.waiters[i].told;
        assert_int_equal(told, 1);
}

/* The start goes on without them; who comes later joins it. */
static void all_may_leave(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(LOADING, LOADING, READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, 2);
        hl_starter_leave(hl_steal(s.waiters[0].wait));
        hl_starter_leave(hl_steal(s.waiters[1].wait));
        s.left = 0;
        while (server.asked < 2)
                assert_true(sd_event_run(s.event, UINT64_MAX) >= 0);
        wait_for(&s, 2, &s.model);
        run(&s);
        assert_int_equal(starts_of(&s), 1);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[2], HL_ERR_NONE, NULL);
}

/* Nobody is there when it ends, one way or the other. */
static void a_start_may_end_unheard(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        begin(&s, "failed-1", 1, HL_STARTER_GRACE_US);
        wait_all(&s, 1);
        leave_others(&s.waiters[0]);
        s.model.unit[strlen("model@")] = 'F'; /* the start has copied what it needs */
        struct hl_model next = model_named("activating-1", 1);
        next.name[0] = 'n';
        next.start_timeout_us = 60 * HL_USEC_PER_MSEC; /* until then the other has ended */
        wait_for(&s, 1, &next);
        run(&s);
        end(&s);
        free_model(&next);
        assert_int_equal(s.waiters[0].told, 0);
        assert_int_equal(s.waiters[1].told, 1);
}

static void wait_again(struct waiter *w)
{
        w->then = NULL;
        w->told = 0;
        wait_for(w->scene, 0, &w->scene->model);
}

static void who_is_told_may_wait_again(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model server;
        fake_model_start(&server, FAKE_ANSWERS(READY));
        begin(&s, "active-99999999999", server.port, HL_STARTER_GRACE_US);
        wait_all(&s, 2);
        s.waiters[0].then = wait_again;
        run(&s);
        assert_int_equal(starts_of(&s), 2);
        end(&s);
        fake_model_stop(&server);
        expect_told(&s.waiters[0], HL_ERR_NONE, NULL);
        expect_told(&s.waiters[1], HL_ERR_NONE, NULL);
}

static void two_models_at_once(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        struct fake_model first, second;
        fake_model_start(&first, FAKE_ANSWERS(LOADING, LOADING, READY));
        fake_model_start(&second, FAKE_ANSWERS(LOADING, READY));
        begin(&s, "active-99999999999", first.port, HL_STARTER_GRACE_US);
        struct hl_model other = model_named("active-99999999998", second.port);
        other.name[0] = 'n';
        wait_for(&s, 0, &s.model);
        wait_for(&s, 1, &other);
        wait_for(&s, 2, &s.model);
        run(&s);
        assert_int_equal(starts_of(&s), 2);
        end(&s);
        free_model(&other);
        assert_int_equal(first.asked, 3);
        assert_int_equal(second.asked, 2);
        fake_model_stop(&first);
        fake_model_stop(&second);
        for (unsigned i = 0; i < 3; i++)
                expect_told(&s.waiters[i], HL_ERR_NONE, NULL);
}

/* As long as polkit does not answer, systemd does not, and others are served all the same. */
static void a_start_that_is_not_answered_blocks_nobody(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .silent = true } };
        const char *unit = "model@active-1.service";
        enum hl_unit_state active = HL_UNIT_FAILED;
        struct hl_err err = { 0 };
        uint64_t began_us = hl_clock_monotonic();
        begin(&s, "inactive-1", 1, HL_STARTER_GRACE_US);
        wait_all(&s, 2);
        assert_int_equal(hl_units_states(&s.bus, &unit, 1, &active, &err), 0);
        assert_int_equal(active, HL_UNIT_ACTIVE);
        assert_true(hl_clock_monotonic() - began_us < HL_BUS_CALL_TIMEOUT_US / 2);
        assert_int_equal(starts_of(&s), 1);
        end(&s);
}

/* Root's own listeners are let be: the test may be root. */
static void somebody_elses_server_on_its_port(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = "done" } };
        uint16_t port;
        uid_t uid = geteuid();
        must(uid != 0 || seteuid(65534) == 0);
        int listener = test_listen(&port);
        must(uid != 0 || seteuid(0) == 0);
        begin(&s, "x", port, HL_STARTER_GRACE_US);
        wait_all(&s, 1);
        run(&s);
        assert_int_equal(starts_of(&s), 0);
        end(&s);
        close(listener);
        expect_told(&s.waiters[0], HL_ERR_CONFLICT, "port_in_use");
}

static int answer_and_hang_up(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        int r = fake_systemd_answer(fake, call, member);
        if (strcmp(member, "StartUnit") == 0)
                fake->hang_up = true;
        return r;
}

/* No job's end would be told any more. Whoever waits is unreported: the program ends, and its successor is asked
 * anew. */
static void a_bus_that_hangs_up_ends_the_loop(void **state)
{
        (void)state;
        struct scene s = { .systemd = { .job_result = NULL } };
        begin(&s, "activating-1", 1, HL_STARTER_GRACE_US);
        s.fake.answer = answer_and_hang_up;
        wait_all(&s, 2);
        assert_int_equal(sd_event_loop(s.event), EXIT_FAILURE);
        end(&s);
        assert_int_equal(s.waiters[0].told + s.waiters[1].told, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(many_wait_for_one_start),
                cmocka_unit_test_setup_teardown(systemd_is_not_asked_for_each_answer, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test(a_systemd_that_does_not_answer_once_ends_nothing),
                cmocka_unit_test(a_silent_server_is_asked_again),
                cmocka_unit_test_setup_teardown(one_that_was_ready_is_marked, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(a_start_that_fails_is_told_to_all),
                cmocka_unit_test(a_unit_that_ends_while_it_loads),
                cmocka_unit_test(who_comes_after_a_stop_starts_it_again),
                cmocka_unit_test_setup_teardown(nobody_is_let_in_while_its_turnstile_is_up, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(nobody_is_handed_on_while_its_turnstile_is_up, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test(never_ready_is_a_timeout),
                cmocka_unit_test(a_job_that_does_not_end_is_a_timeout),
                cmocka_unit_test(one_that_runs_for_long_gets_only_a_grace),
                cmocka_unit_test(one_that_restarts_has_its_time),
                cmocka_unit_test(who_leaves_is_not_told),
                cmocka_unit_test(not_all_are_told_at_once),
                cmocka_unit_test(who_is_told_may_leave_others),
                cmocka_unit_test(all_may_leave),
                cmocka_unit_test(a_start_may_end_unheard),
                cmocka_unit_test(who_is_told_may_wait_again),
                cmocka_unit_test(two_models_at_once),
                cmocka_unit_test(a_start_that_is_not_answered_blocks_nobody),
                cmocka_unit_test(somebody_elses_server_on_its_port),
                cmocka_unit_test(a_bus_that_hangs_up_ends_the_loop),
        };
        signal(SIGPIPE, SIG_IGN);
        setenv("HL_CGROUP_ROOT", "/nonexistent", 1); /* whose the test's own servers are nobody can tell */
        return cmocka_run_group_tests_name("wake", tests, NULL, NULL);
}
