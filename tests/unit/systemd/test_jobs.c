/* SPDX-License-Identifier: MIT */
/* systemd/jobs, with a systemd of the test's own. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/mem.h"
#include "systemd/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

struct job_case {
        enum hl_job_verb verb;
        struct fake_systemd systemd;
        int result; /* 0 or -errno */
        enum hl_err_kind kind;
        const char *code, *words; /* words: in the message */
};

static void expect_job(const struct job_case *c)
{
        static const char *const methods[] = { "StartUnit", "StopUnit", "RestartUnit", "ReloadUnit", "StartUnit" };
        struct fake_host host;
        fake_host_start(&host, &c->systemd);
        const struct hl_wait wait = hl_wait_until(test_deadline());
        int r = hl_jobs_run(&host.bus, c->verb, "model@x.service", &wait, &host.err);
        unsigned called = fake_count(&host.fake, methods[c->verb]);
        fake_host_stop(&host);
        const struct hl_err *err = &host.err;
        if (r != c->result || err->kind != c->kind || (c->code && strcmp(err->code, c->code) != 0) ||
            (c->words && !strstr(err->message, c->words)))
                fail_msg("job %s: %d, kind %d, %s: %s", c->systemd.job_result, r, (int)err->kind,
                         err->code ? err->code : "", err->message);
        assert_int_equal(called, 1);
}

static void jobs_that_succeed(void **state)
{
        (void)state;
        static const struct job_case cases[] = {
                { HL_JOB_START, { .job_result = "done", .state_after = "active" } },
                { HL_JOB_START, { .job_result = "done", .state_after = "activating" } },
                { HL_JOB_START, { .job_result = "skipped", .state_after = "active" } },
                { HL_JOB_RESTART, { .job_result = "done", .state_after = "active" } },
                { HL_JOB_RELOAD, { .job_result = "done", .state_after = "active" } },
                { HL_JOB_RUN, { .job_result = "done", .state_after = "inactive" } },
                { HL_JOB_RUN, { .job_result = "done", .state_after = "activating" } }, /* it runs once more */
                { HL_JOB_STOP, { .job_result = "done", .state_after = "inactive" } },
                { HL_JOB_STOP, { .job_result = "done", .state_after = "failed" } }, /* it is stopped, too */
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_job(&cases[i]);
}

/* JobRemoved may be told before the reply that says which job it is. */
static void job_that_ends_before_its_reply(void **state)
{
        (void)state;
        expect_job(
                &(struct job_case){ HL_JOB_START, { .job_result = "done", .state_after = "active", .early = true } });
        expect_job(&(struct job_case){ HL_JOB_START,
                                       { .job_result = "failed", .state_after = "failed", .early = true },
                                       -EIO,
                                       HL_ERR_UPSTREAM });
}

static void jobs_that_fail(void **state)
{
        (void)state;
        static const struct job_case cases[] = {
                { HL_JOB_START,
                  { .job_result = "failed",
                    .state_after = "failed",
                    .result = "exit-code",
                    .exit_code = CLD_EXITED,
                    .exit_status = 3 },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "job failed, unit exit-code, status 3" },
                { HL_JOB_START,
                  { .job_result = "failed",
                    .state_after = "failed",
                    .result = "signal",
                    .exit_code = CLD_KILLED,
                    .exit_status = 9 },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "unit signal, signal 9" },
                { HL_JOB_START,
                  { .job_result = "timeout", .state_after = "failed", .result = "timeout" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "job timeout, unit timeout" },
                { HL_JOB_START,
                  { .job_result = "dependency", .state_after = "inactive" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "job dependency" },
                { HL_JOB_START, /* it started, and was gone at once */
                  { .job_result = "done", .state_after = "failed", .result = "exit-code", .exit_status = 1 },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "\"journalctl -u model@x.service\" says why" },
                { HL_JOB_START,
                  { .job_result = "done", .state_after = "inactive" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  NULL },
                { HL_JOB_START,
                  { .job_result = "canceled", .state_after = "inactive" },
                  -EINTR,
                  HL_ERR_CONFLICT,
                  "job_canceled",
                  "called off" },
                { HL_JOB_STOP,
                  { .job_result = "timeout", .state_after = "failed", .result = "timeout" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "stop_failed",
                  "stopping model@x.service failed" },
                { HL_JOB_RELOAD, /* what it had goes on */
                  { .job_result = "failed", .state_after = "active" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "reload_failed",
                  "reloading model@x.service failed: job failed" },
                { HL_JOB_RUN,
                  { .job_result = "failed", .state_after = "failed", .result = "exit-code" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "run_failed",
                  "running model@x.service failed: job failed" },
                { HL_JOB_RUN,
                  { .job_result = "done", .state_after = "inactive", .result = "timeout" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "run_failed",
                  "unit timeout" },
                { HL_JOB_START,
                  { .job_result = "failed", .load_state = "not-found" },
                  -EIO,
                  HL_ERR_UPSTREAM,
                  "start_failed",
                  "there is no such unit" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_job(&cases[i]);
}

/* An errno or a D-Bus name never becomes the client's fault. */
static void a_refused_job_says_which_and_is_never_the_clients_fault(void **state)
{
        (void)state;
        static const struct job_case cases[] = {
                { HL_JOB_START,
                  { .refusal = "org.freedesktop.systemd1.NoSuchUnit" },
                  -ENOENT,
                  HL_ERR_UPSTREAM,
                  "unit_unusable",
                  "starting model@x.service failed: " },
                { HL_JOB_START,
                  { .refusal = "org.freedesktop.systemd1.UnitMasked" },
                  -ENOENT,
                  HL_ERR_UPSTREAM,
                  "unit_unusable",
                  NULL },
                { HL_JOB_START,
                  { .refusal = "org.freedesktop.systemd1.LoadFailed" },
                  -ENOENT,
                  HL_ERR_UPSTREAM,
                  "unit_unusable",
                  NULL },
                { HL_JOB_START,
                  { .refusal = "org.freedesktop.systemd1.BadUnitSetting" },
                  -ENOENT,
                  HL_ERR_UPSTREAM,
                  "unit_unusable",
                  NULL },
                { HL_JOB_STOP,
                  { .refusal = SD_BUS_ERROR_ACCESS_DENIED },
                  -EACCES,
                  HL_ERR_INTERNAL,
                  "internal_error",
                  "stopping model@x.service failed: " },
                { HL_JOB_STOP,
                  { .refusal = SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED },
                  -EACCES,
                  HL_ERR_INTERNAL,
                  "internal_error",
                  NULL },
                { HL_JOB_RELOAD,
                  { .refusal = "org.freedesktop.systemd1.JobTypeNotApplicable" }, /* no ExecReload=, or not active */
                  -EBADR,
                  HL_ERR_INTERNAL,
                  "internal_error",
                  "reloading model@x.service failed: " },
                { HL_JOB_RESTART, { .refusal = SD_BUS_ERROR_NO_REPLY }, -ETIMEDOUT, HL_ERR_BUSY, "bus_busy", NULL },
                { HL_JOB_RESTART, { .refusal = SD_BUS_ERROR_TIMEOUT }, -ETIMEDOUT, HL_ERR_BUSY, "bus_busy", NULL },
                { HL_JOB_RESTART,
                  { .refusal = SD_BUS_ERROR_LIMITS_EXCEEDED },
                  -ENOBUFS,
                  HL_ERR_BUSY,
                  "bus_busy",
                  NULL },
                { HL_JOB_START, { .hang_up = true }, -ECONNRESET, HL_ERR_BUSY, "bus_busy", NULL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_job(&cases[i]);
}

static void a_job_outlives_the_deadline(void **state)
{
        struct fake_host *host = *state;
        const struct hl_wait wait = hl_wait_until(hl_clock_monotonic() + 50 * HL_USEC_PER_MSEC);
        int r = hl_jobs_run(&host->bus, HL_JOB_START, "model@x.service", &wait, &host->err);
        assert_true(hl_clock_monotonic() >= wait.deadline_us);
        assert_string_equal(host->fake.log.data, "StartUnit\n"); /* and it is not called off */
        assert_int_equal(r, -ETIMEDOUT);
        assert_int_equal(host->err.kind, HL_ERR_TIMEOUT);
        assert_string_equal(host->err.code, "still_working");
}

/* Whoever queues a stop holds requests back meanwhile, and no longer. A start may come late: it harms nobody. */
static void what_is_not_queued_in_time_is_not_queued_later(void **state)
{
        (void)state;
        for (enum hl_job_verb verb = HL_JOB_START; verb <= HL_JOB_RESTART; verb++) {
                struct fake_host host;
                fake_host_start(&host, &(struct fake_systemd){ .silent = true });
                must(hl_bus_open(&host.bus, &host.err) == 0);
                must(sd_bus_set_method_call_timeout(host.bus.bus, 30 * HL_USEC_PER_MSEC) >= 0);
                HL_CLEANUP(hl_job_free)
                struct hl_job job = { .bus = &host.bus, .verb = verb, .name = "model@x.service" };
                assert_int_equal(hl_job_begin(&job, &host.err), -ETIMEDOUT);
                assert_int_equal(host.err.kind, HL_ERR_BUSY);
                if (verb == HL_JOB_START)
                        assert_non_null(host.bus.bus);
                else
                        assert_null(host.bus.bus);
                fake_host_stop(&host);
        }
}

static void a_job_whose_connection_was_hung_up_on_is_not_waited_for(void **state)
{
        struct fake_host *host = *state;
        HL_CLEANUP(hl_job_free)
        struct hl_job job = { .bus = &host->bus, .verb = HL_JOB_STOP, .name = "model@x.service" };
        assert_int_equal(hl_job_begin(&job, &host->err), 0);
        hl_bus_free(&host->bus);
        const struct hl_wait wait = hl_wait_until(test_deadline());
        assert_int_equal(hl_job_wait(&job, &wait, &host->err), -ENOTCONN);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
}

static int poll_a_stop(const char *result, bool until_it_ends)
{
        struct fake_host host;
        fake_host_start(&host, &(struct fake_systemd){ .job_result = result });
        struct hl_job job = { .bus = &host.bus, .verb = HL_JOB_STOP, .name = "model@inactive-1.service" };
        must(hl_job_begin(&job, &host.err) == 0);
        int r = hl_job_poll(&job, &host.err);
        for (uint64_t end_us = test_deadline(); until_it_ends && r == 0 && hl_clock_monotonic() < end_us;)
                r = hl_job_poll(&job, &host.err);
        assert_true((host.err.kind != HL_ERR_NONE) == (r < 0)); /* that it goes on is no error */
        hl_job_free(&job);
        fake_host_stop(&host);
        return r;
}

static void a_job_is_polled(void **state)
{
        (void)state;
        assert_int_equal(poll_a_stop(NULL, false), 0);
        assert_int_equal(poll_a_stop("done", true), 1);
        assert_int_equal(poll_a_stop("failed", true), -EIO);
        assert_int_equal(poll_a_stop("canceled", true), -EINTR);
}

static void who_has_left_is_not_waited_for(void **state)
{
        struct fake_host *host = *state;
        int client[2];
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
        const struct hl_wait wait = { test_deadline(), client[0] };
        close(client[1]);
        assert_int_equal(hl_jobs_run(&host->bus, HL_JOB_START, "model@x.service", &wait, &host->err), -ECANCELED);
        assert_int_equal(host->err.kind, HL_ERR_CANCELLED);
        assert_string_equal(host->fake.log.data, "StartUnit\n"); /* and it is not called off */
        close(client[0]);
}

static void queued_jobs_are_not_waited_for(void **state)
{
        struct fake_host *host = *state;
        HL_CLEANUP(hl_job_free)
        struct hl_job job = { .bus = &host->bus, .verb = HL_JOB_STOP, .name = "model@x.service" };
        assert_int_equal(hl_job_begin(&job, &host->err), 0);
        assert_string_equal(host->fake.log.data, "StopUnit\n");
        hl_job_free(&job);
        host->systemd.refusal = SD_BUS_ERROR_ACCESS_DENIED;
        assert_int_equal(hl_job_begin(&job, &host->err), -EACCES);
        assert_int_equal(host->err.kind, HL_ERR_INTERNAL);
}

static void the_connection_serves_one_job_after_another(void **state)
{
        struct fake_host *host = *state;
        host->systemd = (struct fake_systemd){ .job_result = "done", .state_after = "active" };
        const struct hl_wait wait = hl_wait_until(test_deadline());
        for (int i = 0; i < 3; i++)
                assert_int_equal(hl_jobs_run(&host->bus, HL_JOB_START, "model@x.service", &wait, &host->err), 0);
}

/* ---- jobs of a program with an event loop ---- */

struct party {
        struct fake_host host;
        sd_event *event;
        struct hl_job job;
        unsigned ended;
        int judged;
        bool frees; /* the job, when it is told of its end */
};

static void on_ended(void *data)
{
        struct party *p = data;
        struct hl_err err = { 0 };
        p->ended++;
        p->judged = hl_job_result(&p->job, NULL, &err);
        if (p->frees)
                hl_job_free(&p->job);
        sd_event_exit(p->event, 0);
}

static void begin_party(struct party *p, const struct fake_systemd *systemd)
{
        fake_host_start(&p->host, systemd);
        must(sd_event_new(&p->event) >= 0 && hl_bus_open(&p->host.bus, &p->host.err) == 0);
        must(sd_bus_attach_event(p->host.bus.bus, p->event, SD_EVENT_PRIORITY_NORMAL) >= 0);
        must(sd_event_add_time_relative(p->event, NULL, CLOCK_MONOTONIC, TEST_TIMEOUT_US, 0, NULL, NULL) >= 0);
        p->job = (struct hl_job){
                .bus = &p->host.bus, .verb = HL_JOB_START, .name = "model@x.service", .ended = on_ended, .data = p
        };
}

static void end_party(struct party *p)
{
        hl_job_free(&p->job);
        fake_host_stop(&p->host);
        sd_event_unref(p->event);
}

static void an_event_loop_is_told_of_the_end(void **state)
{
        (void)state;
        for (int early = 0; early <= 1; early++) {
                struct party p = { 0 };
                begin_party(&p,
                            &(struct fake_systemd){ .job_result = "done", .state_after = "active", .early = early });
                assert_int_equal(hl_job_begin(&p.job, &p.host.err), 0);
                assert_int_equal(p.ended, 0); /* not from within */
                assert_null(p.job.result);
                assert_int_equal(sd_event_loop(p.event), 0);
                assert_int_equal(p.ended, 1);
                assert_string_equal(p.job.result, "done");
                assert_int_equal(p.judged, 0);
                end_party(&p);
        }
}

static void who_is_told_may_free_the_job(void **state)
{
        (void)state;
        struct party p = { .frees = true };
        begin_party(&p, &(struct fake_systemd){ .job_result = "failed", .state_after = "failed" });
        assert_int_equal(hl_job_begin(&p.job, &p.host.err), 0);
        assert_int_equal(sd_event_loop(p.event), 0);
        assert_int_equal(p.ended, 1);
        assert_int_equal(p.judged, -EIO);
        end_party(&p);
}

/* systemd tells of the end of every job; none of these is the one that could not be queued: its refusal is its end. */
static void a_refusal_is_an_end(void **state)
{
        (void)state;
        struct party p = { 0 };
        begin_party(&p, &(struct fake_systemd){ .refusal = SD_BUS_ERROR_ACCESS_DENIED });
        assert_int_equal(hl_job_begin(&p.job, &p.host.err), 0);
        assert_int_equal(sd_event_loop(p.event), 0);
        assert_int_equal(p.ended, 1);
        assert_int_equal(p.judged, -EACCES);
        end_party(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(jobs_that_succeed),
                cmocka_unit_test(job_that_ends_before_its_reply),
                cmocka_unit_test(jobs_that_fail),
                cmocka_unit_test(a_refused_job_says_which_and_is_never_the_clients_fault),
                ON_FAKE_HOST(a_job_outlives_the_deadline),
                cmocka_unit_test(what_is_not_queued_in_time_is_not_queued_later),
                ON_FAKE_HOST(a_job_whose_connection_was_hung_up_on_is_not_waited_for),
                cmocka_unit_test(a_job_is_polled),
                ON_FAKE_HOST(who_has_left_is_not_waited_for),
                ON_FAKE_HOST(queued_jobs_are_not_waited_for),
                ON_FAKE_HOST(the_connection_serves_one_job_after_another),
                cmocka_unit_test(an_event_loop_is_told_of_the_end),
                cmocka_unit_test(who_is_told_may_free_the_job),
                cmocka_unit_test(a_refusal_is_an_end),
        };
        return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
