/* SPDX-License-Identifier: MIT */
/* systemd/units and systemd/bus, with a systemd of the test's own. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/mem.h"
#include "systemd/jobs.h"
#include "systemd/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void states_of_many_take_one_call(void **state)
{
        enum { COUNT = 50 };
        static const char *const words[] = { "active", "inactive",  "activating", "deactivating",
                                             "failed", "reloading", "refreshing", "maintenance" };
        static const enum hl_unit_state expected[] = { HL_UNIT_ACTIVE,   HL_UNIT_INACTIVE, HL_UNIT_STARTING,
                                                       HL_UNIT_STOPPING, HL_UNIT_FAILED,   HL_UNIT_ACTIVE,
                                                       HL_UNIT_ACTIVE,   HL_UNIT_INACTIVE };
        struct fake_host *host = *state;
        char *names[COUNT];
        enum hl_unit_state states[COUNT];
        for (int i = 0; i < COUNT; i++)
                names[i] = hl_format("model@%s-%d.service", words[i % 8], i);
        int r = hl_units_states(&host->bus, (const char *const *)names, COUNT, states, &host->err);
        unsigned calls = host->bus.calls, lists = fake_count(&host->fake, "ListUnitsByNames");
        assert_int_equal(r, 0);
        assert_int_equal(calls, 1);
        assert_int_equal(lists, 1);
        for (int i = 0; i < COUNT; i++) {
                assert_int_equal(states[i], expected[i % 8]);
                free(names[i]);
        }
}

static void no_units_take_no_call(void **state)
{
        (void)state;
        struct hl_bus bus = HL_BUS_INIT;
        struct hl_err err = { 0 };
        bus.fd = 1000000; /* would fail, were it opened */
        assert_int_equal(hl_units_states(&bus, NULL, 0, NULL, &err), 0);
        assert_int_equal(hl_units_active_since(&bus, NULL, 0, NULL, &err), 0);
        assert_int_equal(bus.calls, 0);
        assert_null(bus.bus);
}

static void starts_are_asked_in_a_pipeline(void **state)
{
        enum { COUNT = 150 }; /* more than may be outstanding at once */
        struct fake_host *host = *state;
        char *names[COUNT];
        uint64_t since_us[COUNT];
        for (int i = 0; i < COUNT; i++)
                names[i] = hl_format("model@active-%d.service", i);
        int r = hl_units_active_since(&host->bus, (const char *const *)names, COUNT, since_us, &host->err);
        unsigned gets = fake_count(&host->fake, "Get");
        assert_int_equal(r, 0);
        assert_int_equal(gets, COUNT);
        for (int i = 0; i < COUNT; i++) {
                assert_true(since_us[i] == (uint64_t)i * HL_USEC_PER_SEC);
                free(names[i]);
        }
}

static void detail_of_a_unit(void **state)
{
        struct fake_host *host = *state;
        struct hl_unit_detail d;
        host->systemd = (struct fake_systemd){ .result = "exit-code", .exit_code = CLD_EXITED, .exit_status = 3 };
        assert_int_equal(hl_units_detail(&host->bus, "model@active-9.service", &d, &host->err), 0);
        assert_int_equal(host->bus.calls, 1);
        assert_int_equal(d.active, HL_UNIT_ACTIVE);
        assert_true(d.found);
        assert_int_equal(d.since_us, 5000);
        assert_int_equal(d.active_since_monotonic_us, 9 * HL_USEC_PER_SEC);
        assert_int_equal(d.main_pid, 812);
        assert_int_equal(d.memory_bytes, 4096);
        assert_int_equal(d.cpu_ns, HL_UNIT_UNKNOWN);
        assert_int_equal(d.restarts, 2);
        assert_int_equal(d.exit_code, CLD_EXITED);
        assert_int_equal(d.exit_status, 3);
        assert_string_equal(d.result, "exit-code");

        host->systemd = (struct fake_systemd){ .load_state = "not-found" };
        assert_int_equal(hl_units_detail(&host->bus, "model@x.service", &d, &host->err), 0);
        assert_false(d.found);
        assert_int_equal(d.active, HL_UNIT_INACTIVE);
}

static void ended_units_say_why(void **state)
{
        struct fake_host *host = *state;
        host->systemd = (struct fake_systemd){
                .state_after = "failed", .result = "oom-kill", .exit_code = CLD_KILLED, .exit_status = 9
        };
        assert_int_equal(hl_fail_unit_ended(&host->bus, "model@x.service", &host->err), -EIO);
        assert_int_equal(host->err.kind, HL_ERR_UPSTREAM);
        assert_non_null(strstr(host->err.message, "ended before it was ready: oom-kill, signal 9"));
}

static void questions_that_fail(void **state)
{
        struct fake_host *host = *state;
        const char *name = "model@active-1.service";
        enum hl_unit_state active = HL_UNIT_STOPPING;
        struct hl_unit_detail detail = { .main_pid = 42 };
        uint64_t since_us;
        host->systemd = (struct fake_systemd){ .list_error = SD_BUS_ERROR_ACCESS_DENIED };
        assert_int_equal(hl_unit_state_of(&host->bus, name, &active, &host->err), -EACCES);
        assert_int_equal(host->err.kind, HL_ERR_INTERNAL);
        assert_int_equal(active, HL_UNIT_STOPPING);
        host->err = (struct hl_err){ 0 };
        assert_int_equal(hl_units_detail(&host->bus, name, &detail, &host->err), -EACCES);
        assert_int_equal(host->err.kind, HL_ERR_INTERNAL);
        assert_int_equal(detail.main_pid, 42);
        host->err = (struct hl_err){ 0 };
        assert_int_equal(hl_units_active_since(&host->bus, &name, 1, &since_us, &host->err), -EACCES);
        assert_int_equal(host->err.kind, HL_ERR_INTERNAL);
}

static int say_nothing(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        (void)fake;
        (void)call;
        (void)member;
        return 0;
}

/* A systemd that does not answer holds nobody up for long. */
static void a_hung_peer_is_busy(void **state)
{
        struct fake_host *host = *state;
        const char *name = "model@active-1.service";
        enum hl_unit_state active;
        uint64_t default_us = 0, began_us = hl_clock_monotonic();
        host->fake.answer = say_nothing;
        must(hl_bus_open(&host->bus, &host->err) == 0 &&
             sd_bus_get_method_call_timeout(host->bus.bus, &default_us) >= 0);
        assert_true(default_us == HL_BUS_CALL_TIMEOUT_US);
        must(sd_bus_set_method_call_timeout(host->bus.bus, 30 * HL_USEC_PER_MSEC) >= 0);
        assert_int_equal(hl_unit_state_of(&host->bus, name, &active, &host->err), -ETIMEDOUT);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
        host->err = (struct hl_err){ 0 };
        uint64_t since_us;
        assert_int_equal(hl_units_active_since(&host->bus, &name, 1, &since_us, &host->err), -ETIMEDOUT);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
        assert_true(hl_clock_monotonic() - began_us < HL_BUS_CALL_TIMEOUT_US); /* not a moment longer than asked */
}

static void no_bus_is_busy(void **state)
{
        (void)state;
        struct hl_bus bus = HL_BUS_INIT;
        struct hl_err err = { 0 };
        must(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1) == 0);
        struct hl_job job = { .bus = &bus, .verb = HL_JOB_START, .name = "x.service" };
        int r = hl_job_begin(&job, &err);
        unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        assert_true(r < 0);
        assert_int_equal(err.kind, HL_ERR_BUSY);
        assert_string_equal(err.code, "bus_unavailable");
        assert_int_equal(bus.calls, 0);
        hl_bus_free(&bus);
        hl_bus_free(&bus);
}

static void what_a_service_says_of_itself(void **state)
{
        (void)state;
        struct fake_host host;
        HL_CLEANUP(hl_free_pointer) char *nothing = NULL;
        HL_CLEANUP(hl_free_pointer) char *said = NULL;
        char *unknown = NULL;
        fake_host_start(&host, &(struct fake_systemd){ 0 });
        assert_int_equal(hl_units_status_text(&host.bus, "x.service", &nothing, &host.err), 0);
        assert_string_equal(nothing, "");
        host.systemd.status_text = "it is refused";
        assert_int_equal(hl_units_status_text(&host.bus, "x.service", &said, &host.err), 0);
        assert_string_equal(said, "it is refused");
        host.systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(hl_units_status_text(&host.bus, "x.service", &unknown, &host.err) < 0);
        assert_null(unknown);
        assert_int_equal(host.err.kind, HL_ERR_BUSY);
        fake_host_stop(&host);
}

static void with_which_status_it_ended(void **state)
{
        struct fake_host *host = *state;
        int status = 42;
        host->systemd.exit_status = 3;
        assert_int_equal(hl_units_exit_status(&host->bus, "x.service", &status, &host->err), 0);
        assert_int_equal(status, 3);
        assert_int_equal(fake_count(&host->fake, "GetAll"), 0); /* hundreds of properties: a millisecond of PID 1 */
}

static void the_control_group(void **state)
{
        struct fake_host host;
        struct stat status;
        uint64_t cgroup = 42;
        fake_host_start(&host, &(struct fake_systemd){ 0 });
        assert_int_equal(hl_units_cgroup(&host.bus, "model@inactive-1.service", &cgroup, &host.err), 0);
        assert_int_equal(cgroup, 0);
        host.systemd.control_group = "/no/such.slice";
        assert_int_equal(hl_units_cgroup(&host.bus, "model@active-1.service", &cgroup, &host.err), 0);
        assert_int_equal(cgroup, 0);
        char *folder = hl_format("/../../..%s", (const char *)*state); /* seen from /sys/fs/cgroup */
        must(stat(*state, &status) == 0);
        host.systemd.control_group = folder;
        assert_int_equal(hl_units_cgroup(&host.bus, "model@active-1.service", &cgroup, &host.err), 0);
        assert_int_equal(cgroup, status.st_ino);
        struct hl_unit_detail detail;
        assert_int_equal(hl_units_detail(&host.bus, "model@active-1.service", &detail, &host.err), 0);
        assert_int_equal(detail.cgroup, status.st_ino);
        host.systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(hl_units_cgroup(&host.bus, "model@active-1.service", &cgroup, &host.err) < 0);
        assert_int_equal(host.err.kind, HL_ERR_BUSY);
        fake_host_stop(&host);
        free(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_FAKE_HOST(states_of_many_take_one_call),
                cmocka_unit_test(no_units_take_no_call),
                ON_FAKE_HOST(starts_are_asked_in_a_pipeline),
                ON_FAKE_HOST(detail_of_a_unit),
                cmocka_unit_test(what_a_service_says_of_itself),
                cmocka_unit_test_setup_teardown(with_which_status_it_ended, fake_host_setup, fake_host_teardown),
                cmocka_unit_test_setup_teardown(the_control_group, test_folder_setup, test_folder_teardown),
                ON_FAKE_HOST(ended_units_say_why),
                ON_FAKE_HOST(questions_that_fail),
                ON_FAKE_HOST(a_hung_peer_is_busy),
                cmocka_unit_test(no_bus_is_busy),
        };
        return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
