/* SPDX-License-Identifier: MIT */
/* models/cause: what is told of an end, from what the journal says (which is answered here: tests/tests.mk, --wrap). */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/cause.h"
#include "systemd/journal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct hl_journal_entry *entries;
static size_t entry_count;
static size_t orphan_count; /* the last of them, which the journal has for the unit, and for none of its starts */
static char asked[1024];

int __wrap_hl_journal_read(const struct hl_journal_query *query, hl_journal_fn *each, void *data, struct hl_err *err);

int __wrap_hl_journal_read(const struct hl_journal_query *query, hl_journal_fn *each, void *data, struct hl_err *err)
{
        (void)err;
        assert_true(query->deadline_us > 0);
        assert_true(query->last > 0);
        assert_true(query->last < 10000);
        *asked = '\0';
        for (const char *const *match = query->matches; *match; match++)
                strcat(strcat(asked, *match), " ");
        size_t told = entry_count - (strstr(asked, "INVOCATION_ID=") ? orphan_count : 0);
        for (size_t i = 0; i < told; i++)
                each(data, &entries[i]);
        return 0;
}

static struct hl_unit_detail ended(const char *result, int code, int status)
{
        struct hl_unit_detail d = { .found = true,
                                    .active = HL_UNIT_FAILED,
                                    .exit_code = code,
                                    .exit_status = status,
                                    .invocation = "0123456789abcdef0123456789abcdef" };
        strcpy(d.result, result);
        return d;
}

static void expect_end(const struct hl_unit_detail *d, uint64_t since_us, const char *expected, bool is_last_word)
{
        char cause[HL_CAUSE_SIZE] = "";
        bool r = hl_cause_of_end("model@m.service", d, since_us, cause);
        if (strcmp(cause, expected) != 0 || r != is_last_word)
                fail_msg("\"%s\" instead of \"%s\", %d", cause, expected, r);
}

static void how_a_unit_ended(void **state)
{
        (void)state;
        static const struct hl_journal_entry started = { .at_us = 2, .values = { "Starting m...", "6", "1", "7d49" } };
        struct hl_unit_detail d = ended("oom-kill", CLD_KILLED, SIGKILL);
        entries = &started;
        entry_count = 1;
        expect_end(&d, 0, "killed by the kernel: out of memory", true);
        d = ended("signal", CLD_DUMPED, SIGSEGV);
        expect_end(&d, 0, "ended by the signal SEGV: it crashed", false);
        d = ended("signal", CLD_KILLED, SIGKILL);
        expect_end(&d, 0, "ended by the signal KILL: the kernel does that where memory is short", true);
        d = ended("signal", CLD_KILLED, SIGILL);
        expect_end(&d, 0, "ended by the signal ILL: it was built for another CPU", true);
        d = ended("exit-code", CLD_EXITED, 7);
        expect_end(&d, 0, "ended with status 7, and logged nothing", false);
        entry_count = 0; /* not even systemd's words: who asks may not read the journal */
        expect_end(&d, 0, "ended with status 7; what it logged is not to be seen here: \"home-lab-services logs NAME\"",
                   false);
        entry_count = 1;
        d = ended("exit-code", 0, 0);
        expect_end(&d, 0, "what its unit runs before COMMAND failed, and logged nothing", false);
        d = ended("resources", 0, 0);
        expect_end(&d, 0, "systemd's result is resources", false);
        d = ended("success", 0, 0);
        expect_end(&d, 0, "", false); /* somebody has stopped it */
        *d.invocation = '\0';
        expect_end(&d, 0, "", true); /* systemd has forgotten it: there is nothing to look for */
        expect_end(&d, 1,
                   "ended by itself, as if it had done its work (a model stays in the foreground), and logged nothing",
                   false);
        d = (struct hl_unit_detail){ .found = false };
        expect_end(&d, 0, "there is no unit model@m.service", true);
}

static void what_it_logged(void **state)
{
        (void)state;
        static const struct hl_journal_entry logged[] = {
                { .at_us = 5, .values = { "error: of an earlier start", "6", "17" } },
                { .at_us = 10, .values = { "error: no GPU is there", "6", "17" } },
                { .at_us = 11, .values = { "bye", "6", "17" } },
                { .at_us = 12, .values = { "model@m.service: Failed with result 'exit-code'.", "4", "1", "d9b3" } },
                { .at_us = 13, .values = { NULL, "6", "17" } },
        };
        struct hl_unit_detail d = ended("exit-code", CLD_EXITED, 1);
        entries = logged;
        entry_count = HL_COUNT(logged);
        expect_end(&d, 0, "error: no GPU is there", true);
        assert_string_equal(asked, "_SYSTEMD_UNIT=model@m.service "
                                   "_SYSTEMD_INVOCATION_ID=0123456789abcdef0123456789abcdef + _PID=1 "
                                   "UNIT=model@m.service INVOCATION_ID=0123456789abcdef0123456789abcdef ");
        static const struct hl_journal_entry sandboxed = { .at_us = 10,
                                                           .values = { "/data/x: Read-only file system", "6", "17" } };
        entries = &sandboxed;
        entry_count = 1;
        expect_end(
                &d, 0,
                "/data/x: Read-only file system (is that its unit's doing? ReadWritePaths= allows more than its home)",
                true);
        entries = logged + 2; /* no word of error */
        entry_count = 3;
        expect_end(&d, 0, "ended with status 1; the last that it logged: bye", false);

        /* systemd has forgotten the start: what was logged since then. */
        *d.invocation = '\0';
        entries = logged;
        entry_count = 1;
        expect_end(&d, 6, "ended with status 1, and logged nothing", false);
        expect_end(&d, 4, "error: of an earlier start", true);

        /* What systemd could not do is a cause, what it says of any end is none. */
        static const struct hl_journal_entry systemds[] = {
                { .values = { "model@m.service: Failed to load environment files: No such file or directory", "4",
                              "1" } },
                { .values = { "Failed to start model@m.service - Home Lab Services: model m.", "3", "1", "be02" } },
        };
        d = ended("resources", 0, 0);
        entries = systemds;
        entry_count = HL_COUNT(systemds);
        expect_end(&d, 0, systemds[0].values[0], true);
}

/* Nor of a word of what the model is called. */
static void a_skipped_start_has_no_error_of_the_run_before(void **state)
{
        (void)state;
        struct hl_journal_entry logged[] = {
                { .values = { "error: no GPU is there", "3", "77" } },
                { .values = { "m was skipped because of an unmet condition check (ConditionPathExists=/x).", "6", "1",
                              "39f53479d3a045ac8e11786248231fbf" } },
        };
        struct hl_unit_detail d = ended("exit-code", CLD_EXITED, 1);
        entries = logged;
        entry_count = HL_COUNT(logged);
        expect_end(&d, 0,
                   "a condition of its unit kept it from its start: m was skipped because of an unmet condition check "
                   "(ConditionPathExists=/x).",
                   true);
        logged[1].values[0] = "Started model skipped-m.";
        expect_end(&d, 0, logged[0].values[0], true);
}

/* A program that ends without a word of error is not searched for one until the patience is over. */
static void nothing_is_awaited_after_systemds_word_of_the_end(void **state)
{
        (void)state;
        const char *const ids[] = { "98e322203f7a4ed290d09fe03c09fe15", "d9b373ed55a64feb8242e02dbe79a49c",
                                    "7ad2d189f7e94e70a38c781354912448" };
        struct hl_unit_detail d = ended("exit-code", CLD_EXITED, 1);
        struct hl_journal_entry logged[] = {
                { .at_us = 5, .values = { "bye", "6", "77" } },
                { .values = { "model@m.service: the end", "5", "1" } },
        };
        entries = logged;
        entry_count = HL_COUNT(logged);
        for (size_t i = 0; i < HL_COUNT(ids); i++) {
                logged[1].values[3] = ids[i];
                logged[1].at_us = hl_clock_realtime() - HL_CAUSE_SETTLE_US;
                expect_end(&d, 0, "ended with status 1; the last that it logged: bye", true);
                logged[1].at_us = hl_clock_realtime(); /* its last words may be on their way */
                expect_end(&d, 0, "ended with status 1; the last that it logged: bye", false);
                logged[1].at_us -= HL_CAUSE_SETTLE_US;
                entries = logged + 1; /* nothing of its own yet */
                entry_count = 1;
                expect_end(&d, 0, "ended with status 1, and logged nothing", false);
                entries = logged;
                entry_count = HL_COUNT(logged);
        }
}

/* journald got to the line when the unit had ended already. */
static void a_line_of_no_start_is_the_last_starts(void **state)
{
        (void)state;
        static const struct hl_journal_entry logged[] = {
                { .at_us = 4, .values = { "Starting m...", "6", "1", "7d49" } },
                { .at_us = 3, .values = { "error: of an earlier start", "6", "76" } },
                { .at_us = 5, .values = { "error: no GPU is there", "6", "77" } },
        };
        struct hl_unit_detail d = ended("exit-code", CLD_EXITED, 1);
        entries = logged;
        entry_count = HL_COUNT(logged);
        orphan_count = 2;
        expect_end(&d, 0, "error: no GPU is there", true);
        entry_count = 2;
        orphan_count = 1;
        expect_end(&d, 0, "ended with status 1, and logged nothing", false);
        orphan_count = 0;
}

static void it_is_in_the_message(void **state)
{
        (void)state;
        struct hl_err err = { 0 };
        hl_fail(&err, HL_ERR_UPSTREAM, EIO, "start_failed",
                "m ended before it was ready: exit-code, status 1; \"journalctl -u m\" says why");
        hl_cause_tell(&err, "");
        assert_non_null(strstr(err.message, "journalctl"));
        hl_cause_tell(&err, "no GPU is there");
        assert_string_equal(
                err.message,
                "m ended before it was ready: exit-code, status 1: no GPU is there; \"journalctl -u m\" says why");
        assert_int_equal(err.kind, HL_ERR_UPSTREAM);
        assert_int_equal(err.errnum, EIO);
        assert_string_equal(err.code, "start_failed");
        hl_cause_tell(&err, "no GPU is there"); /* once is enough */
        assert_string_equal(
                err.message,
                "m ended before it was ready: exit-code, status 1: no GPU is there; \"journalctl -u m\" says why");
}

static void what_was_seen_of_its_port(void **state)
{
        (void)state;
        static char path[] = "/health", unit[] = "model@m.service", file[] = "/nonexistent";
        const struct hl_model model = {
                .name = "m", .port = 8198, .health_path = path, .unit = unit, .file_path = file
        };
        static const struct {
                int status;
                const char *cause;
        } cases[] = {
                { -ECONNREFUSED, "nothing listens on port 8198 yet" },
                { -ETIMEDOUT, "port 8198 takes connections, but /health is not answered" },
                { -EPROTO, "port 8198 takes connections, but closes them or does not speak HTTP (nor may it have TLS "
                           "of its own)" },
                { 503, "port 8198, /health: status 503, it is loading" },
                { 404, "port 8198, /health: status 404: is HEALTH_PATH right? Many servers have /v1/models" },
                { 405, "port 8198, /health: status 405: is HEALTH_PATH right? Many servers have /v1/models" },
                { 500, "port 8198, /health: status 500" },
        };
        setenv("HL_CGROUP_ROOT", "/nonexistent", 1);
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                char cause[HL_CAUSE_SIZE];
                hl_cause_of_status(&model, cases[i].status, cause);
                assert_string_equal(cause, cases[i].cause);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(how_a_unit_ended),
                cmocka_unit_test(what_it_logged),
                cmocka_unit_test(a_skipped_start_has_no_error_of_the_run_before),
                cmocka_unit_test(nothing_is_awaited_after_systemds_word_of_the_end),
                cmocka_unit_test(a_line_of_no_start_is_the_last_starts),
                cmocka_unit_test(it_is_in_the_message),
                cmocka_unit_test(what_was_seen_of_its_port),
        };
        return cmocka_run_group_tests_name("cause", tests, NULL, NULL);
}
