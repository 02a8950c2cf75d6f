/* SPDX-License-Identifier: MIT */
/* model-idle-sweep/host_policy: when the host may be switched off, with a logind of the test's own. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model-idle-sweep/host_policy.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE HL_USEC_PER_MINUTE
#define NOW (1000 * MINUTE)

static void every_reason(void **state)
{
        (void)state;
        static const struct {
                uint64_t now_us, used_us, resumed_us, acted_us, shutdown_at_us;
                enum hl_host_reason reason;
        } rows[] = {
                { NOW, NOW - 61 * MINUTE, 0, 0, 0, HL_HOST_IDLE },
                { NOW, NOW - 60 * MINUTE, 0, 0, 0, HL_HOST_IDLE },
                { NOW, NOW - 59 * MINUTE, 0, 0, 0, HL_HOST_IN_USE },
                { NOW, NOW, 0, 0, 0, HL_HOST_IN_USE },
                { NOW, 0, 0, 0, 0, HL_HOST_IDLE }, /* no model was ever used */
                { 59 * MINUTE, 0, 0, 0, 0, HL_HOST_JUST_BOOTED },
                { NOW, 0, NOW - MINUTE, 0, 0, HL_HOST_JUST_RESUMED },
                { NOW, 0, NOW - 61 * MINUTE, 0, 0, HL_HOST_IDLE },
                { NOW, NOW - 90 * MINUTE, 0, NOW - MINUTE, 0, HL_HOST_CANCELLED },
                { NOW, NOW - 90 * MINUTE, 0, NOW - MINUTE, 1, HL_HOST_IDLE },      /* it is still scheduled */
                { NOW, NOW - 90 * MINUTE, 0, NOW - 91 * MINUTE, 0, HL_HOST_IDLE }, /* a model was used since */
        };
        const struct hl_config config = { .host_idle_us = 60 * MINUTE }, never = { .host_idle_us = HL_USEC_INFINITY };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                const struct hl_host_seen seen = { .used_us = rows[i].used_us, .resumed_us = rows[i].resumed_us };
                const struct hl_host_memory memory = { .acted_us = rows[i].acted_us,
                                                       .shutdown_at_us = rows[i].shutdown_at_us };
                enum hl_host_reason reason = hl_host_decide(&config, &seen, &memory, rows[i].now_us);
                if (reason != rows[i].reason)
                        fail_msg("row %zu: %s", i, hl_host_reason_name(reason));
                assert_int_equal(hl_host_decide(&never, &seen, &memory, rows[i].now_us), HL_HOST_DISABLED);
        }
        const struct hl_config soon = { .host_idle_us = MINUTE };
        assert_true(hl_host_grace_us(&soon) == MINUTE && hl_host_grace_us(&config) == 10 * MINUTE);
}

static void when_any_model_was_used(void **state)
{
        (void)state;
        static const struct hl_verdict verdicts[] = { { .unused_us = 7 * MINUTE },
                                                      { .unused_us = 3 * MINUTE },
                                                      { .unused_us = HL_USEC_INFINITY } };
        assert_true(hl_host_last_use(verdicts, 1, NOW) == NOW - 7 * MINUTE);
        assert_true(hl_host_last_use(verdicts, 3, NOW) == NOW - 3 * MINUTE);
        assert_true(hl_host_last_use(&verdicts[2], 1, NOW) == 0);
        assert_true(hl_host_last_use(verdicts, 1, MINUTE) == 0); /* before this boot */
        assert_true(hl_host_last_use(NULL, 0, NOW) == 0);
}

struct logind {
        const char *class, *state;    /* of the one session; NULL: there is none */
        const char *what, *mode;      /* of the one inhibitor */
        const char *error_of, *error; /* a method, and the D-Bus error that it is answered with */
};

static int answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        const struct logind *l = fake->data;
        const char *property;
        if (l->error_of && strcmp(l->error_of, member) == 0)
                return fake_refuse(call, l->error);
        if (strcmp(member, "ListSessions") == 0)
                return sd_bus_reply_method_return(call, "a(susso)", l->class ? 1 : 0, "c1", 1000, "alice", "seat0",
                                                  "/org/freedesktop/login1/session/c1");
        if (strcmp(member, "ListInhibitors") == 0)
                return sd_bus_reply_method_return(call, "a(ssssuu)", l->what ? 1 : 0, l->what, "backup",
                                                  "the nightly\nbackup", l->mode, 0, 1);
        must(strcmp(member, "Get") == 0 && sd_bus_message_read(call, "ss", NULL, &property) >= 0);
        return sd_bus_reply_method_return(call, "v", "s", strcmp(property, "Class") == 0 ? l->class : l->state);
}

static int ask(struct logind *logind, enum hl_host_reason *reason, char *who, struct hl_err *err)
{
        struct fake_bus fake;
        struct hl_bus bus;
        fake_start(&fake, answer, logind, &bus);
        int r = hl_host_blocked(&bus, reason, who, err);
        fake_stop(&fake, &bus);
        return r;
}

static void who_is_in_the_way(void **state)
{
        (void)state;
        static const struct {
                struct logind logind;
                enum hl_host_reason reason;
                const char *who;
        } rows[] = {
                { { 0 }, HL_HOST_IDLE, NULL },
                { { .class = "user", .state = "active" }, HL_HOST_USER_LOGGED_IN, "alice is logged in at seat0" },
                { { .class = "user", .state = "online" }, HL_HOST_USER_LOGGED_IN, "alice" },
                { { .class = "user-early", .state = "online" }, HL_HOST_USER_LOGGED_IN, "alice" },
                { { .class = "user", .state = "closing" }, HL_HOST_IDLE, NULL },
                { { .class = "greeter", .state = "online" }, HL_HOST_IDLE, NULL },
                { { .class = "background", .state = "online" }, HL_HOST_IDLE, NULL },
                { { .class = "manager", .state = "online" }, HL_HOST_IDLE, NULL },
                { { .what = "shutdown:sleep", .mode = "block" },
                  HL_HOST_INHIBITED,
                  "backup inhibits it: the nightly?backup" },
                { { .what = "sleep:idle", .mode = "block" }, HL_HOST_INHIBITED, "backup" },
                { { .what = "shutdown", .mode = "block-weak" }, HL_HOST_INHIBITED, "backup" },
                { { .what = "shutdown", .mode = "delay" }, HL_HOST_IDLE, NULL },
                { { .what = "sleep", .mode = "block" }, HL_HOST_IDLE, NULL },
                { { .what = "handle-power-key", .mode = "block" }, HL_HOST_IDLE, NULL },
                /* a session that ends while it is asked about is nobody */
                { { .class = "user", .error_of = "Get", .error = SD_BUS_ERROR_UNKNOWN_OBJECT }, HL_HOST_IDLE, NULL },
        };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct logind logind = rows[i].logind;
                enum hl_host_reason reason = HL_HOST_IN_USE;
                char who[HL_HOST_WHO_SIZE] = "";
                struct hl_err err = { 0 };
                if (ask(&logind, &reason, who, &err) != 0 || reason != rows[i].reason ||
                    (rows[i].who ? !strstr(who, rows[i].who) : *who != '\0'))
                        fail_msg("row %zu: %s %s %s", i, hl_host_reason_name(reason), who, err.message);
        }
}

/* When logind does not say who is there, nothing is known. */
static void without_logind_nothing_is_known(void **state)
{
        (void)state;
        static const char *const methods[] = { "ListSessions", "ListInhibitors", "Get" };
        for (size_t i = 0; i < HL_COUNT(methods); i++) {
                struct logind logind = { .class = i == 2 ? "user" : NULL,
                                         .error_of = methods[i],
                                         .error = SD_BUS_ERROR_NO_REPLY };
                enum hl_host_reason reason = HL_HOST_IN_USE;
                char who[HL_HOST_WHO_SIZE] = "";
                struct hl_err err = { 0 };
                assert_true(ask(&logind, &reason, who, &err) < 0);
                assert_int_equal(reason, HL_HOST_IN_USE);
                assert_int_equal(err.kind, HL_ERR_BUSY);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_reason),
                cmocka_unit_test(when_any_model_was_used),
                cmocka_unit_test(who_is_in_the_way),
                cmocka_unit_test(without_logind_nothing_is_known),
        };
        return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
