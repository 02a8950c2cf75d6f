/* SPDX-License-Identifier: MIT */
/* models/usage: what is active and what is idle, from the activity files, the sockets and a systemd of the test's
 * own. */
#include "fake_bus.h"
#include "fake_model.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "kernel/sockets.h"
#include "models/ready_mark.h"
#include "models/usage.h"
#include "models/verdict.h"
#include "models/work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE HL_USEC_PER_MINUTE

static struct hl_config config = { .unit_template = "model@%s.service",
                                   .active_threshold_us = 10 * MINUTE,
                                   .host_idle_us = HL_USEC_INFINITY };

/* The mark that systemd leaves at a unit's start is answered here (see tests/tests.mk: --wrap). */
static uint64_t mark_age_us = HL_USEC_INFINITY; /* HL_USEC_INFINITY: there is none */

uint64_t __wrap_hl_unit_start_hint(const char *name);

uint64_t __wrap_hl_unit_start_hint(const char *name)
{
        (void)name;
        return mark_age_us == HL_USEC_INFINITY ? 0 : hl_clock_realtime() - mark_age_us;
}

/* The same of the control group of all models: as the kernel says it of a socket of this program's. */
static uint64_t cgroup_of_all;
static unsigned cgroups_asked;

int __wrap_hl_units_cgroup(struct hl_bus *bus, const char *name, uint64_t *ret_cgroup, struct hl_err *err);

int __wrap_hl_units_cgroup(struct hl_bus *bus, const char *name, uint64_t *ret_cgroup, struct hl_err *err)
{
        (void)bus;
        (void)name;
        (void)err;
        cgroups_asked++;
        *ret_cgroup = cgroup_of_all;
        return 0;
}

static struct hl_catalog catalog_of(struct hl_model *models, size_t count)
{
        return (struct hl_catalog){ .models = models, .count = count };
}

static struct hl_model model_of(const char *name, const char *unit, uint64_t idle_timeout_us)
{
        static char no_file[] = "/nonexistent";
        struct hl_model model = { .idle_timeout_us = idle_timeout_us, .file_path = no_file };
        strcpy(model.name, name);
        model.unit = hl_strdup(unit);
        return model;
}

/* "model@active-SECONDS.service", which became active now. */
static char *unit_started_now(void)
{
        return hl_format("model@active-%llu.service", (unsigned long long)(hl_clock_monotonic() / HL_USEC_PER_SEC));
}

static void report(const char *folder, const char *name, int64_t minutes_ago)
{
        struct timespec now, times[2];
        must(clock_gettime(CLOCK_REALTIME, &now) == 0);
        times[0] = times[1] = (struct timespec){ .tv_sec = now.tv_sec - minutes_ago * 60 };
        char *path = hl_format("activity/%s", name);
        test_write(folder, path, "");
        must(utimensat(AT_FDCWD, test_path(folder, path), times, 0) == 0);
        free(path);
}

static int read_usage(const struct hl_catalog *catalog, struct fake_systemd *systemd, struct hl_usage **usages,
                      unsigned *calls, struct hl_err *err)
{
        struct fake_bus fake;
        struct hl_bus bus;
        const char *loaded[16] = { NULL };
        for (size_t i = 0; i < catalog->count && i + 1 < HL_COUNT(loaded); i++)
                loaded[i] = catalog->models[i].unit;
        systemd->loaded = loaded;
        fake_start(&fake, fake_systemd_answer, systemd, &bus);
        int r = hl_usage_ask(&bus, &config, catalog, usages, err);
        *calls = bus.calls;
        assert_int_equal(fake_count(&fake, "ListUnitsByPatterns"), 1);
        assert_int_equal(fake_count(&fake, "ListUnitsByNames"), 0); /* it would load the units of all files */
        fake_stop(&fake, &bus);
        systemd->loaded = NULL;
        return r;
}

/* What the facts of the one model or of several mean. */
static bool is_idle(const struct hl_model *model, const struct hl_usage *u)
{
        return hl_verdict_decide(&config, model, u).reason == HL_VERDICT_IDLE;
}

static bool is_active(const struct hl_model *model, const struct hl_usage *u)
{
        return hl_verdict_decide(&config, model, u).is_active;
}

static bool about(uint64_t us, uint64_t expected_us)
{
        return us + 3 * HL_USEC_PER_SEC >= expected_us && us <= expected_us + 30 * HL_USEC_PER_SEC;
}

static void the_judgement(void **state)
{
        enum { NEVER_USED, REPORTED, OLD_REPORT, PINNED, STOPPED, IDLE, FUTURE, COUNT };
        char *fresh = unit_started_now(), *fresher = hl_format("model@reloading-%s", strchr(fresh, '-') + 1);
        struct hl_model models[COUNT] = {
                [NEVER_USED] = model_of("never", "model@inactive-1.service", MINUTE),
                [REPORTED] = model_of("reported", fresh, MINUTE),
                [OLD_REPORT] = model_of("old", fresher, MINUTE),
                [PINNED] = model_of("pinned", "model@active-1.service", HL_USEC_INFINITY),
                [STOPPED] = model_of("stopped", "model@failed-1.service", MINUTE),
                [IDLE] = model_of("idle", "model@active-2.service", 1),
                [FUTURE] = model_of("future", "model@active-3.service", 30 * MINUTE),
        };
        const struct hl_catalog catalog = catalog_of(models, COUNT);
        struct fake_systemd systemd = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        cgroups_asked = 0;
        report(*state, "reported", 5);
        report(*state, "old", 60);
        report(*state, "pinned", 60 * 24);
        report(*state, "stopped", 60);
        report(*state, "idle", 60);
        report(*state, "future", -60);
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        /* One for the states, one for the start of each that runs: there are no marks. Of IDLE alone more must be
         * known. */
        assert_int_equal(calls, 1 + 5);
        assert_int_equal(cgroups_asked, 1);

        assert_true(!is_active(&models[NEVER_USED], &u[NEVER_USED]) && !is_idle(&models[NEVER_USED], &u[NEVER_USED]) &&
                    u[NEVER_USED].idle_us == HL_USEC_INFINITY);
        assert_int_equal(hl_usage_last_activity(&u[NEVER_USED]), 0);
        assert_true(is_active(&models[REPORTED], &u[REPORTED]) && !is_idle(&models[REPORTED], &u[REPORTED]));
        assert_true(about(u[OLD_REPORT].idle_us, 0)); /* its start is later than its last request */
        assert_true(!is_active(&models[OLD_REPORT], &u[OLD_REPORT]) && !is_idle(&models[OLD_REPORT], &u[OLD_REPORT]));
        assert_true(u[PINNED].active == HL_UNIT_ACTIVE && !is_active(&models[PINNED], &u[PINNED]) &&
                    !is_idle(&models[PINNED], &u[PINNED]));
        assert_true(about(u[STOPPED].idle_us, 60 * MINUTE));
        assert_true(!is_active(&models[STOPPED], &u[STOPPED]) &&
                    !is_idle(&models[STOPPED], &u[STOPPED])); /* what does not run is not idle */
        assert_true(!is_active(&models[IDLE], &u[IDLE]) && is_idle(&models[IDLE], &u[IDLE]));
        assert_true(is_active(&models[FUTURE], &u[FUTURE]) && !is_idle(&models[FUTURE], &u[FUTURE]) &&
                    u[FUTURE].idle_us == 0);
        for (size_t i = 0; i < COUNT; i++)
                free(models[i].unit);
        free(u);
        free(fresh);
        free(fresher);
}

/* A request that nobody has answered. */
static struct test_connection begin_request(void)
{
        struct test_connection c = test_open_connection();
        must(write(c.client, "x", 1) == 1 && hl_wait_fd(c.server, POLLIN, test_deadline()) == 1);
        return c;
}

static void a_request_in_flight_is_activity(void **state)
{
        struct test_connection request = begin_request();
        struct hl_model models[] = { model_of("m", "model@active-1.service", 1),
                                     model_of("n", "model@active-2.service", 1) };
        const struct hl_catalog catalog = catalog_of(models, 2);
        struct fake_systemd systemd = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        models[0].port = request.port;
        report(*state, "m", 60);
        report(*state, "n", 60);
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_int_equal(u[0].in_flight, 1);
        assert_true(is_active(&models[0], &u[0]) && !is_idle(&models[0], &u[0]) && about(u[0].idle_us, 0));
        assert_true(hl_usage_last_activity(&u[0]) == u[0].traffic_at_us && u[0].traffic_at_us > u[0].reported_at_us);
        assert_true(u[0].traffic_age_us == u[0].request_age_us && u[0].unreported == 1);
        assert_true(u[1].in_flight == 0 && u[1].traffic_at_us == 0 && u[1].traffic_age_us == HL_USEC_INFINITY &&
                    is_idle(&models[1], &u[1]));
        free(models[0].unit);
        free(models[1].unit);
        free(u);
        test_close_connection(&request);
}

/* Who is connected where a model would listen is another program's client. The host is in use all the same. */
static void of_what_does_not_run_nobody_asks_who_is_connected(void **state)
{
        (void)state;
        struct test_connection request = begin_request();
        struct hl_model model = model_of("m", "model@inactive-1.service", 1);
        const struct hl_catalog catalog = catalog_of(&model, 1);
        struct fake_systemd systemd = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        model.port = request.port;
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_true(u->in_flight == 0 && u->traffic_at_us == 0 && !is_active(&model, u));
        free(u);
        config.host_idle_us = MINUTE;
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_int_equal(u->in_flight, 1);
        config.host_idle_us = HL_USEC_INFINITY;
        free(model.unit);
        free(u);
        test_close_connection(&request);
}

/* The file of a model that runs names another port by now: its server does not know that, and neither do its
 * clients. */
static void a_request_where_the_server_listens(void **state)
{
        (void)state;
        struct test_connection request = begin_request();
        uint16_t other_port;
        struct hl_model models[] = { model_of("m", "model@active-1.service", 1),
                                     model_of("pinned", "model@active-2.service", HL_USEC_INFINITY) };
        const struct hl_catalog catalog = catalog_of(models, 2);
        struct fake_systemd systemd = { 0 };
        struct hl_listener seen;
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        must(hl_sockets_listener(request.port, &seen, &err) == 1);
        close(test_listen(&other_port));
        models[0].port = models[1].port = other_port;

        cgroup_of_all = seen.cgroup;
        config.host_idle_us = MINUTE; /* so that the pinned one's matters, too */
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        for (size_t i = 0; i < 2; i++)
                assert_true(u[i].in_flight >= 1 && is_active(&models[i], &u[i]) && !is_idle(&models[i], &u[i]) &&
                            about(u[i].idle_us, 0));
        free(u);

        cgroup_of_all = 0; /* the same without Linux' word for it */
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_true(u[0].in_flight == 0 && is_idle(&models[0], &u[0]));
        config.host_idle_us = HL_USEC_INFINITY;
        free(models[0].unit);
        free(models[1].unit);
        free(u);
        test_close_connection(&request);
}

/* Whose mark says that it is too young to be idle is not asked about; all others are, and theirs is the last word. */
static void starts_are_asked_where_they_count(void **state)
{
        enum { YOUNG, OLD, PINNED, USED, STOPPED, COUNT };
        char *fresh = unit_started_now();
        struct hl_model models[COUNT] = {
                [YOUNG] = model_of("young", "model@active-1.service", 30 * MINUTE),
                [OLD] = model_of("old", fresh, MINUTE),
                [PINNED] = model_of("pinned", "model@active-2.service", HL_USEC_INFINITY),
                [USED] = model_of("used", "model@active-3.service", 5 * MINUTE),
                [STOPPED] = model_of("stopped", "model@inactive-4.service", MINUTE),
        };
        const struct hl_catalog catalog = catalog_of(models, COUNT);
        struct fake_systemd systemd = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        report(*state, "used", 1);
        mark_age_us = 10 * MINUTE;
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_int_equal(calls, 1 + 1); /* OLD's alone */
        assert_true(about(u[YOUNG].idle_us, 10 * MINUTE) && !is_idle(&models[YOUNG], &u[YOUNG]) &&
                    u[YOUNG].started_at_us > 0);
        assert_true(about(u[OLD].idle_us, 0) &&
                    !is_idle(&models[OLD], &u[OLD])); /* the mark was wrong: the clock was set on, say */
        assert_true(about(u[PINNED].idle_us, 10 * MINUTE));
        assert_true(about(u[USED].idle_us, 1 * MINUTE) && is_active(&models[USED], &u[USED]));
        assert_int_equal(u[STOPPED].started_at_us, 0);
        free(u);

        mark_age_us = (uint64_t) - (int64_t)MINUTE; /* in the future: it says nothing */
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        assert_int_equal(calls, 1 + 4);
        mark_age_us = HL_USEC_INFINITY;
        for (size_t i = 0; i < COUNT; i++)
                free(models[i].unit);
        free(u);
        free(fresh);
}

/* When nothing is known, nothing may look idle. */
static bool works; /* whether any unit's programs do */

void __wrap_hl_work_seen(const char *const *units, size_t count, bool *ret_seen);

void __wrap_hl_work_seen(const char *const *units, size_t count, bool *ret_seen)
{
        (void)units;
        for (size_t i = 0; i < count; i++)
                ret_seen[i] = works;
}

/* Of a model that nobody has used, at the end of all its times: whether it is loading; else it is idle. */
static void expect_loading(const char *answer, bool it_works, uint64_t start_timeout_us, bool expected)
{
        static char health[] = "/health";
        struct fake_model server;
        struct hl_model model = model_of("m", "model@active-1.service", 1);
        const struct hl_catalog catalog = catalog_of(&model, 1);
        struct fake_systemd systemd = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        fake_model_start(&server, FAKE_ANSWERS(answer));
        model.port = server.port;
        model.health_path = health;
        model.start_timeout_us = start_timeout_us;
        works = it_works;
        assert_int_equal(read_usage(&catalog, &systemd, &u, &calls, &err), 0);
        fake_model_stop(&server);
        if (u->loads != expected)
                fail_msg("\"%s\": loads %d", answer, u->loads);
        assert_true(is_idle(&model, u) != expected);
        free(u);
        free(model.unit);
}

#define LOADING "HTTP/1.1 503 Loading\r\n\r\n"

static void one_that_loads_is_told_from_one_that_hangs(void **state)
{
        (void)state;
        expect_loading(LOADING, false, 1, true); /* it says so */
        expect_loading("", false, 1, false);     /* it says nothing of use, */
        expect_loading("", true, 1, true);       /* but works */
        expect_loading("…", false, 1, false);
        expect_loading("…", true, 1, true);
        expect_loading("HTTP/1.1 404 Not Found\r\n\r\n", false, 1, false);
        expect_loading("…", false, HL_USEC_INFINITY, true); /* it may still take its time */
        expect_loading("HTTP/1.1 200 OK\r\n\r\n", true, 1, false);
        assert_int_equal(hl_ready_mark("m", hl_clock_monotonic()), 0); /* what was ready once does not load any more */
        expect_loading(LOADING, true, 1, false);
        expect_loading("…", true, HL_USEC_INFINITY, false);
}

static void without_systemd_nothing_is_known(void **state)
{
        (void)state;
        struct hl_model model = model_of("m", "model@active-1.service", 1);
        const struct hl_catalog catalog = catalog_of(&model, 1);
        struct fake_systemd systemd = { .list_error = SD_BUS_ERROR_NO_REPLY };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        unsigned calls;
        assert_true(read_usage(&catalog, &systemd, &u, &calls, &err) < 0);
        assert_null(u);
        assert_int_equal(err.kind, HL_ERR_BUSY);
        free(model.unit);
}

static void no_models_take_no_call(void **state)
{
        (void)state;
        struct hl_bus bus = HL_BUS_INIT;
        struct hl_catalog catalog = { 0 };
        struct hl_usage *u = NULL;
        struct hl_err err = { 0 };
        assert_int_equal(hl_usage_ask(&bus, &config, &catalog, &u, &err), 0);
        assert_int_equal(bus.calls, 0);
        assert_null(bus.bus);
        free(u);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(the_judgement),
                IN_FOLDER(a_request_in_flight_is_activity),
                IN_FOLDER(of_what_does_not_run_nobody_asks_who_is_connected),
                IN_FOLDER(a_request_where_the_server_listens),
                IN_FOLDER(starts_are_asked_where_they_count),
                IN_FOLDER(one_that_loads_is_told_from_one_that_hangs),
                IN_FOLDER(without_systemd_nothing_is_known),
                IN_FOLDER(no_models_take_no_call),
        };
        return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
