/* SPDX-License-Identifier: MIT */
/* systemd/shutdown, with a logind of the test's own. The file that says whose a schedule is, is answered here (see
 * tests/tests.mk: --wrap). */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "systemd/shutdown.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEDULED "/run/systemd/shutdown/scheduled"

static const char *scheduled_text; /* NULL: there is no such file */

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __real_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_stat(const char *path, struct stat *status);
int __real_stat(const char *path, struct stat *status);

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        if (strcmp(path, SCHEDULED) != 0)
                return __real_hl_read_file(dir_fd, path, max, buf);
        return scheduled_text ? hl_buf_adds(buf, scheduled_text) : -ENOENT;
}

int __wrap_stat(const char *path, struct stat *status)
{
        if (strcmp(path, SCHEDULED) != 0)
                return __real_stat(path, status);
        if (!scheduled_text) {
                errno = ENOENT;
                return -1;
        }
        *status = (struct stat){ .st_mtim = { .tv_sec = 1000, .tv_nsec = 2000 } };
        return 0;
}

struct logind {
        char action[64], message[HL_SHUTDOWN_MESSAGE_MAX + 100];
        uint64_t at_us;
        const char *refusal, *refused; /* the D-Bus error, and the method that is answered with it */
        bool gone_meanwhile;           /* the schedule ended before it could be cancelled */
};

static int get_property(const struct logind *l, sd_bus_message *call)
{
        const char *property;
        must(sd_bus_message_read(call, "ss", NULL, &property) >= 0);
        if (strcmp(property, "ScheduledShutdown") == 0)
                return sd_bus_reply_method_return(call, "v", "(st)", l->action, *l->action ? l->at_us : UINT64_MAX);
        must(strcmp(property, "WallMessage") == 0);
        return sd_bus_reply_method_return(call, "v", "s", l->message);
}

static int answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        struct logind *l = fake->data;
        const char *text;
        int flag;
        if (l->refused && strcmp(l->refused, member) == 0)
                return fake_refuse(call, l->refusal);
        if (strcmp(member, "Get") == 0)
                return get_property(l, call);
        if (strcmp(member, "SetWallMessage") == 0) {
                must(sd_bus_message_read(call, "sb", &text, &flag) >= 0);
                snprintf(l->message, sizeof(l->message), "%s", text);
                return sd_bus_reply_method_return(call, "");
        }
        if (strcmp(member, "ScheduleShutdown") == 0) {
                must(sd_bus_message_read(call, "st", &text, &l->at_us) >= 0);
                snprintf(l->action, sizeof(l->action), "%s", text);
                return sd_bus_reply_method_return(call, "");
        }
        if (strcmp(member, "CancelScheduledShutdown") == 0) {
                flag = *l->action && !l->gone_meanwhile;
                l->action[0] = '\0';
                return sd_bus_reply_method_return(call, "b", flag);
        }
        must(strcmp(member, "CanPowerOff") == 0);
        return sd_bus_reply_method_return(call, "s", "challenge");
}

/* One logind for one test. */
static struct logind logind;
static struct fake_bus fake;
static struct hl_bus bus;
static struct hl_err err;

static int begin(void **state)
{
        (void)state;
        logind = (struct logind){ 0 };
        err = (struct hl_err){ 0 };
        scheduled_text = NULL;
        fake_start(&fake, answer, &logind, &bus);
        return 0;
}

static int end(void **state)
{
        (void)state;
        fake_stop(&fake, &bus);
        return 0;
}

/* Somebody scheduled a power-off in an hour. */
static uint64_t schedule_there(uid_t uid)
{
        static char text[64];
        logind.at_us = hl_clock_realtime() + 60 * HL_USEC_PER_MINUTE;
        strcpy(logind.action, "poweroff");
        strcpy(logind.message, "by hand");
        snprintf(text, sizeof(text), "USEC=1\nMODE=poweroff\nUID=%u\n", uid);
        scheduled_text = text;
        return logind.at_us;
}

static uint64_t in_minutes(unsigned minutes)
{
        return hl_clock_realtime() + minutes * HL_USEC_PER_MINUTE;
}

static void none_is_scheduled(void **state)
{
        (void)state;
        struct hl_shutdown s = { .scheduled = true };
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_false(s.scheduled);
        assert_int_equal(bus.calls, 1);
}

static void one_is_scheduled(void **state)
{
        (void)state;
        struct hl_shutdown s;
        uint64_t at_us = schedule_there(getuid());
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_true(s.scheduled);
        assert_true(s.ours);
        assert_int_equal(s.at_us, at_us);
        assert_int_equal(s.created_us, 1000 * HL_USEC_PER_SEC + 2);
        assert_string_equal(s.action, "poweroff");
        assert_string_equal(s.message, "by hand");

        schedule_there(getuid() + 1);
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_true(s.scheduled);
        assert_false(s.ours);

        /* Without the file, or with one that says nothing, it is somebody else's. */
        scheduled_text = "USEC=1\nUID=nobody\n";
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_false(s.ours);
        scheduled_text = NULL;
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_false(s.ours);
        assert_int_equal(s.created_us, 0);
}

static void long_words_are_cut(void **state)
{
        (void)state;
        struct hl_shutdown s;
        schedule_there(getuid());
        memset(logind.action, 'a', sizeof(logind.action) - 1);
        memset(logind.message, 'm', sizeof(logind.message) - 1);
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), 0);
        assert_int_equal(strlen(s.action), HL_SHUTDOWN_ACTION_SIZE - 1);
        assert_int_equal(strlen(s.message), HL_SHUTDOWN_MESSAGE_MAX);
}

static void a_schedule_is_logind_s_with_its_message(void **state)
{
        (void)state;
        struct hl_shutdown before;
        uint64_t at_us = in_minutes(10);
        assert_int_equal(hl_shutdown_schedule(&bus, "reboot", at_us, "See you", false, &before, &err), 0);
        assert_false(before.scheduled);
        assert_string_equal(logind.action, "reboot");
        assert_string_equal(logind.message, "See you");
        assert_true(logind.at_us == at_us);
        assert_int_equal(hl_shutdown_schedule(&bus, "halt", at_us, NULL, true, &before, &err), 0);
        assert_string_equal(logind.message, "Scheduled by home-lab-services");
}

static void ours_is_replaced(void **state)
{
        (void)state;
        struct hl_shutdown before;
        uint64_t old_us = schedule_there(getuid()), at_us = in_minutes(10);
        assert_int_equal(hl_shutdown_schedule(&bus, "poweroff", at_us, NULL, false, &before, &err), 0);
        assert_true(before.scheduled);
        assert_true(before.ours);
        assert_int_equal(before.at_us, old_us);
        assert_true(logind.at_us == at_us);
}

static void somebody_elses_is_a_conflict(void **state)
{
        (void)state;
        struct hl_shutdown before = { .action = "untouched" };
        uint64_t old_us = schedule_there(getuid() + 1);
        assert_int_equal(hl_shutdown_schedule(&bus, "poweroff", in_minutes(10), NULL, false, &before, &err), -EEXIST);
        assert_int_equal(err.kind, HL_ERR_CONFLICT);
        assert_string_equal(err.code, "scheduled_by_others");
        assert_string_equal(before.action, "untouched");
        assert_true(logind.at_us == old_us);
        assert_string_equal(logind.message, "by hand");
        assert_int_equal(fake_count(&fake, "ScheduleShutdown") + fake_count(&fake, "SetWallMessage"), 0);

        err = (struct hl_err){ 0 };
        assert_int_equal(hl_shutdown_schedule(&bus, "poweroff", in_minutes(10), NULL, true, &before, &err), 0);
        assert_true(before.scheduled);
        assert_false(before.ours);
        assert_int_equal(before.at_us, old_us);
}

static void the_past_is_refused(void **state)
{
        (void)state;
        struct hl_shutdown before;
        const uint64_t times[] = { 0, 1, hl_clock_realtime() - HL_USEC_PER_SEC, hl_clock_realtime(),
                                   hl_clock_realtime() + HL_SHUTDOWN_LEAST_US / 2 };
        for (size_t i = 0; i < HL_COUNT(times); i++) {
                err = (struct hl_err){ 0 };
                assert_int_equal(hl_shutdown_schedule(&bus, "poweroff", times[i], NULL, true, &before, &err), -EINVAL);
                assert_int_equal(err.kind, HL_ERR_INVALID);
                assert_string_equal(err.code, "not_in_the_future");
        }
        assert_int_equal(fake_count(&fake, "ScheduleShutdown") + fake_count(&fake, "SetWallMessage"), 0);
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_shutdown_schedule(&bus, "poweroff", hl_clock_realtime() + 2 * HL_SHUTDOWN_LEAST_US, NULL,
                                              true, &before, &err),
                         0);
}

static void a_refused_schedule_changes_nothing_and_is_forbidden(void **state)
{
        (void)state;
        static const char *const refusals[] = { SD_BUS_ERROR_ACCESS_DENIED,
                                                SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                                "org.freedesktop.login1.BlockedByInhibitorLock" };
        static const char *const methods[] = { "SetWallMessage", "ScheduleShutdown" };
        struct hl_shutdown before = { .action = "untouched" };
        for (size_t i = 0; i < HL_COUNT(refusals); i++)
                for (size_t j = 0; j < HL_COUNT(methods); j++) {
                        err = (struct hl_err){ 0 };
                        logind.refusal = refusals[i];
                        logind.refused = methods[j];
                        assert_int_equal(
                                hl_shutdown_schedule(&bus, "poweroff", in_minutes(1), NULL, false, &before, &err),
                                -EACCES);
                        assert_int_equal(err.kind, HL_ERR_FORBIDDEN);
                        assert_string_equal(err.code, "refused_by_policy");
                        assert_int_equal(logind.at_us, 0);
                }
        assert_string_equal(before.action, "untouched");
        err = (struct hl_err){ 0 };
        logind.refusal = SD_BUS_ERROR_NO_REPLY;
        assert_true(hl_shutdown_schedule(&bus, "poweroff", in_minutes(1), NULL, false, &before, &err) < 0);
        assert_int_equal(err.kind, HL_ERR_BUSY);
        err = (struct hl_err){ 0 };
        logind.refusal = SD_BUS_ERROR_FILE_EXISTS; /* of one that is masked */
        assert_true(hl_shutdown_schedule(&bus, "poweroff", in_minutes(1), NULL, false, &before, &err) < 0);
        assert_string_equal(err.code, "unit_unusable");
        err = (struct hl_err){ 0 };
        logind.refusal = SD_BUS_ERROR_INVALID_ARGS;
        assert_true(hl_shutdown_schedule(&bus, "poweroff", in_minutes(1), NULL, false, &before, &err) < 0);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
}

static void a_cancel_takes_back_the_message_too(void **state)
{
        (void)state;
        struct hl_shutdown s;
        uint64_t at_us = schedule_there(getuid() + 1); /* somebody else's, too */
        assert_int_equal(hl_shutdown_cancel(&bus, &s, &err), 0);
        assert_true(s.scheduled);
        assert_false(s.ours);
        assert_int_equal(s.at_us, at_us);
        assert_string_equal(s.message, "by hand");
        assert_string_equal(logind.action, "");
        assert_string_equal(logind.message, ""); /* or the next "shutdown" on a terminal would say it again */
}

static void nothing_to_cancel(void **state)
{
        (void)state;
        struct hl_shutdown s = { .action = "untouched" };
        assert_int_equal(hl_shutdown_cancel(&bus, &s, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
        assert_string_equal(err.code, "no_shutdown");
        assert_int_equal(fake_count(&fake, "CancelScheduledShutdown"), 0);

        schedule_there(getuid());
        logind.gone_meanwhile = true;
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_shutdown_cancel(&bus, &s, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
        assert_string_equal(s.action, "untouched");
}

static void a_refused_cancel_is_forbidden(void **state)
{
        (void)state;
        struct hl_shutdown s;
        schedule_there(getuid() + 1);
        logind.refused = "CancelScheduledShutdown";
        logind.refusal = SD_BUS_ERROR_ACCESS_DENIED;
        assert_int_equal(hl_shutdown_cancel(&bus, &s, &err), -EACCES);
        assert_int_equal(err.kind, HL_ERR_FORBIDDEN);
        assert_string_equal(logind.action, "poweroff");
        /* That the text cannot be taken back does not undo a cancel. */
        logind.refused = "SetWallMessage";
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_shutdown_cancel(&bus, &s, &err), 0);
        assert_int_equal(err.kind, HL_ERR_NONE);
}

static void questions_that_fail(void **state)
{
        (void)state;
        struct hl_shutdown s = { .action = "untouched" };
        char word[16] = "untouched";
        logind.refused = "Get";
        logind.refusal = SD_BUS_ERROR_ACCESS_DENIED;
        assert_int_equal(hl_shutdown_get(&bus, &s, &err), -EACCES);
        assert_int_equal(err.kind, HL_ERR_INTERNAL); /* never the client's fault */
        assert_string_equal(s.action, "untouched");
        logind.refused = "CanPowerOff";
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_shutdown_permission(&bus, word, sizeof(word), &err), -EACCES);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_string_equal(word, "untouched");
}

static void can_says_the_word(void **state)
{
        (void)state;
        char word[16];
        assert_int_equal(hl_shutdown_permission(&bus, word, sizeof(word), &err), 0);
        assert_string_equal(word, "challenge");
}

#define WITH_LOGIND(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_LOGIND(none_is_scheduled),
                WITH_LOGIND(one_is_scheduled),
                WITH_LOGIND(long_words_are_cut),
                WITH_LOGIND(a_schedule_is_logind_s_with_its_message),
                WITH_LOGIND(ours_is_replaced),
                WITH_LOGIND(somebody_elses_is_a_conflict),
                WITH_LOGIND(the_past_is_refused),
                WITH_LOGIND(a_refused_schedule_changes_nothing_and_is_forbidden),
                WITH_LOGIND(a_cancel_takes_back_the_message_too),
                WITH_LOGIND(nothing_to_cancel),
                WITH_LOGIND(a_refused_cancel_is_forbidden),
                WITH_LOGIND(questions_that_fail),
                WITH_LOGIND(can_says_the_word),
        };
        return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
