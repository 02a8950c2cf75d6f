/* SPDX-License-Identifier: MIT */
/* models/room: the queue and the evictions, step by step, with a systemd of the test's own. Its units are in the state,
 * and since so many seconds, that their names say. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/count.h"
#include "models/last_use.h"
#include "models/queue.h"
#include "models/ready_mark.h"
#include "models/room.h"
#include "models/turnstile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD "active-1" /* a model that runs since then, and may leave: the host has been up for longer than that */
#define OTHER "active-2"
#define GPU "\"gpus\": {\"0\": \"10G\"}, \"min_residency_seconds\": 30"

struct scene {
        struct fake_host host;
        struct hl_room *room;
        struct hl_model model; /* "new" */
        const char *loaded[4]; /* units, NULL-terminated */
        const char *after[4];  /* those that are there once a stop was begun */
        struct hl_buf told;
        struct hl_err err;
};

/* ---- the host ---- */

static void write_model(const char *folder, const char *name, uint16_t port, const char *more)
{
        HL_CLEANUP(hl_free_pointer)
        char *text = hl_format("PORT=\"%u\"\nCOMMAND=\"true\"\n%s", port, more), *file = hl_format("models/%s", name);
        test_write(folder, file, text);
}

static void put_config(const char *folder, const char *capacity)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("{\"capacity\": {%s}}", capacity);
        test_write(folder, "config.json", text);
}

static int setup(void **state)
{
        test_folder_setup(state);
        must(mkdir(test_path(*state, "stopped"), 0755) == 0 && mkdir(test_path(*state, "started"), 0755) == 0 &&
             mkdir(test_path(*state, "queue"), 0700) == 0 && mkdir(test_path(*state, "evicted"), 0755) == 0 &&
             setenv("HL_STOPPED_DIRECTORY", test_path(*state, "stopped"), 1) == 0 &&
             setenv("HL_STARTED_DIRECTORY", test_path(*state, "started"), 1) == 0 &&
             setenv("HL_EVICTED_DIRECTORY", test_path(*state, "evicted"), 1) == 0);
        put_config(*state, GPU);
        return 0;
}

static int teardown(void **state)
{
        unsetenv("HL_STOPPED_DIRECTORY");
        unsetenv("HL_STARTED_DIRECTORY");
        unsetenv("HL_EVICTED_DIRECTORY");
        return test_folder_teardown(state);
}

static void on_evicts(void *data, const char *model, const char *why)
{
        struct scene *s = data;
        assert_true(hl_turnstile_is_up(model));
        hl_buf_addf(&s->told, "%s\n", why);
        memcpy(s->loaded, s->after, sizeof(s->loaded));
}

/* A model that runs is ready, and was not asked anything. */
static void put_running(const char *folder, const char *name, const char *more)
{
        uint16_t port;
        close(test_listen(&port));
        write_model(folder, name, port, more);
        must(hl_ready_mark(name, hl_clock_monotonic()) == 0);
}

static void begin(struct scene *s, const char *folder, const char *claim)
{
        static const struct fake_systemd systemd = { .job_result = "done", .control_group = "" };
        struct hl_config config;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        write_model(folder, "new", 8999, claim);
        fake_host_start(&s->host, &systemd);
        s->host.systemd.loaded = s->loaded;
        must(hl_config_load(NULL, &config, &err) == 0 && hl_catalog_load_named(&config, "new", &catalog, &err) == 0);
        s->model = hl_model_copy(&catalog.models[0]);
        hl_config_free(&config);
        s->room = hl_room_new(&s->host.bus, &s->model, on_evicts, s);
}

static void end(struct scene *s)
{
        hl_room_free(s->room);
        hl_model_free(&s->model);
        hl_buf_free(&s->told);
        fake_host_stop(&s->host);
}

static int step(struct scene *s)
{
        uint64_t again_us = 0;
        s->err = (struct hl_err){ 0 };
        return hl_room_step(s->room, &again_us, &s->err);
}

/* Steps when it is time, until there is something else than to wait, or no longer. */
static int run(struct scene *s, bool (*is_over)(const struct scene *s))
{
        uint64_t deadline_us = test_deadline();
        while (hl_clock_monotonic() < deadline_us) {
                uint64_t again_us = 0;
                int r = hl_room_step(s->room, &again_us, &s->err);
                if (r != 0 || (is_over && is_over(s)))
                        return r;
                hl_sleep_or_hangup(-1, hl_us_minus(again_us, hl_clock_monotonic()));
        }
        fail_msg("nothing happens: %s", s->err.message);
        return 0;
}

static void expect_truth(const struct scene *s, const char *text)
{
        struct hl_err err = { 0 };
        assert_int_equal(hl_room_fail(s->room, &err), -EAGAIN);
        assert_string_equal(err.code, "no_capacity");
        if (!strstr(err.message, text))
                fail_msg("%s", err.message);
}

static size_t queued(void)
{
        HL_CLEANUP(hl_free_pointer) struct hl_queued *all = NULL;
        return hl_queue_read(NULL, &all);
}

/* ---- what it does ---- */

static void one_that_competes_for_nothing_asks_nobody(void **state)
{
        static const struct {
                const char *claim, *capacity;
        } rows[] = { { "", GPU }, { "GPU_MEMORY=\"8G\"\n", "" }, { "GPU_MEMORY=\"1:8G\"\n", GPU } };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct scene s = { .loaded = { NULL } };
                put_config(*state, rows[i].capacity);
                begin(&s, *state, rows[i].claim);
                assert_int_equal(step(&s), 1);
                assert_int_equal(queued(), 0);
                assert_int_equal(fake_count(&s.host.fake, "ListUnitsByPatterns"), 0);
                end(&s);
        }
}

static void one_that_fits_starts_and_is_wanted_until_it_was_handed_on(void **state)
{
        struct scene s = { .loaded = { NULL } };
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 1);
        assert_int_equal(queued(), 1);
        end(&s);
        assert_int_equal(queued(), 0);
}

static void the_one_that_is_idle_leaves(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        put_running(*state, OLD, "GPU_MEMORY=\"8G\"\n");
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_true(hl_turnstile_is_up(OLD));
        assert_int_equal(fake_count(&s.host.fake, "StopUnit"), 0);
        assert_true(hl_room_is_evicting(s.room));
        assert_int_equal(run(&s, NULL), 1);
        assert_int_equal(fake_count(&s.host.fake, "StopUnit"), 1);
        assert_false(hl_turnstile_is_up(OLD));
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, OLD), 1);
        assert_true(hl_has_prefix(s.told.data, "stopping " OLD ", unused for "));
        assert_true(test_contains(&s.told, ", for new: gpu 0 has 10 GiB: " OLD " (8 GiB); new needs 8 GiB\n"));
        end(&s);
}

static bool is_planned_again(const struct scene *s)
{
        return !hl_room_is_evicting(s->room);
}

static void one_that_was_asked_in_between_is_let_go(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        uint16_t port;
        HL_CLEANUP(hl_close_fd) int listener = test_listen(&port);
        write_model(*state, OLD, port, "GPU_MEMORY=\"8G\"\n");
        must(hl_ready_mark(OLD, hl_clock_monotonic()) == 0);
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_true(hl_room_is_evicting(s.room));
        HL_CLEANUP(hl_close_fd) int client = test_connect(port);
        HL_CLEANUP(hl_close_fd) int server = accept(listener, NULL, NULL);
        must(write(client, "POST / HTTP/1.1\r\n\r\n", 19) == 19);
        assert_int_equal(run(&s, is_planned_again), 0);
        assert_int_equal(step(&s), 0); /* not yet the next plan's time */
        hl_sleep_or_hangup(-1, 260 * HL_USEC_PER_MSEC);
        assert_int_equal(step(&s), 0);
        assert_false(hl_turnstile_is_up(OLD));
        expect_truth(&s, "gpu 0 has 10 GiB: " OLD " (8 GiB, 1 request in flight); new needs 8 GiB");
        assert_int_equal(fake_count(&s.host.fake, "StopUnit"), 0);
        assert_int_equal(hl_count_of(HL_COUNTED_EVICTED, OLD), 0);
        end(&s);
}

static void all_of_them_leave_or_none(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service", "model@" OTHER ".service" } };
        put_running(*state, OLD, "GPU_MEMORY=\"4G\"\n");
        put_running(*state, OTHER, "GPU_MEMORY=\"4G\"\n");
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        struct hl_err err = { 0 };
        must(hl_last_use_record(OTHER, &err) == 0); /* somebody is about to ask it */
        assert_int_equal(step(&s), 0);
        assert_false(hl_turnstile_is_up(OLD) || hl_turnstile_is_up(OTHER));
        expect_truth(&s, OTHER " (4 GiB, in use)");
        must(hl_last_use_record_past(OTHER, 0, &err) == 0);
        assert_int_equal(run(&s, NULL), 1);
        assert_int_equal(fake_count(&s.host.fake, "StopUnit"), 2);
        end(&s);
}

static void what_never_fits_is_refused(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        put_running(*state, OLD, "GPU_MEMORY=\"3G\"\nKEEP=\"yes\"\n");
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), -ENOSPC);
        assert_string_equal(s.err.code, "model_does_not_fit");
        end(&s);
}

static void who_came_first_is_first(void **state)
{
        struct scene s = { .loaded = { NULL } };
        struct hl_ticket before = HL_TICKET_INIT, apart = HL_TICKET_INIT, strange = HL_TICKET_INIT;
        write_model(*state, "first", 8998, "GPU_MEMORY=\"3G\"\n");
        write_model(*state, "apart", 8997, "GPU_MEMORY=\"1:3G\"\n");
        must(hl_queue_join("apart", hl_clock_monotonic(), &apart, &s.err) == 0 &&
             hl_queue_join("gone", hl_clock_monotonic(), &strange, &s.err) == 0);
        must(hl_queue_join("first", hl_clock_monotonic(), &before, &s.err) == 0);
        begin(&s, *state, "GPU_MEMORY=\"2G\"\n");
        assert_int_equal(step(&s), 0);
        expect_truth(&s, "first came first and waits, too");
        hl_queue_leave(&before);
        assert_int_equal(run(&s, NULL), 1); /* those of other resources, and of no model, are not in its way */
        hl_queue_leave(&apart);
        hl_queue_leave(&strange);
        end(&s);
}

/* A router that was killed had it in its queue. */
static void who_came_earlier_than_others_is_before_them(void **state)
{
        struct scene s = { .loaded = { NULL } };
        struct hl_ticket other = HL_TICKET_INIT;
        uint64_t now_us = hl_clock_monotonic();
        write_model(*state, "other", 8998, "GPU_MEMORY=\"3G\"\n");
        must(hl_queue_join("other", now_us - 5, &other, &s.err) == 0);
        begin(&s, *state, "GPU_MEMORY=\"2G\"\n");
        assert_int_equal(step(&s), 0);
        hl_room_came(s.room, now_us - 3);
        hl_room_came(s.room, now_us - 10);
        hl_room_came(s.room, now_us - 7);
        assert_int_equal(queued(), 2);
        assert_int_equal(run(&s, NULL), 1);
        hl_queue_leave(&other);
        end(&s);
}

/* When it steps next. */
static uint64_t next(struct scene *s)
{
        uint64_t again_us = 0;
        assert_int_equal(hl_room_step(s->room, &again_us, &s->err), 0);
        return hl_us_minus(again_us, hl_clock_monotonic());
}

static void what_has_gone_is_noticed(void **state)
{
        static const struct {
                const char *mark;
                bool counts;
        } rows[] = { { "started/invocation:model@x.service", true },
                     { "started/invocation:inference-service@7.service", false },
                     { "started/log-level-max:model@x.service", false } };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct scene s = { .loaded = { NULL } };
                struct hl_ticket before = HL_TICKET_INIT;
                write_model(*state, "first", 8998, "GPU_MEMORY=\"3G\"\n");
                test_write(*state, rows[i].mark, "");
                must(hl_queue_join("first", hl_clock_monotonic(), &before, &s.err) == 0);
                begin(&s, *state, "GPU_MEMORY=\"2G\"\n");
                assert_true(next(&s) > HL_USEC_PER_SEC / 2);
                must(unlink(test_path(*state, rows[i].mark)) == 0);
                assert_false(hl_room_wait(s.room, -1, test_deadline()));
                assert_int_equal(next(&s) < HL_USEC_PER_SEC / 2, rows[i].counts);
                hl_queue_leave(&before);
                assert_false(hl_room_wait(s.room, -1, test_deadline()));
                assert_int_equal(run(&s, NULL), 1);
                end(&s);
        }
}

/* It runs, so it waits for nothing; and it is to get its first request. */
static void one_that_is_wanted_stays(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        struct hl_ticket ticket = HL_TICKET_INIT;
        put_running(*state, OLD, "GPU_MEMORY=\"8G\"\n");
        must(hl_queue_join(OLD, hl_clock_monotonic(), &ticket, &s.err) == 0);
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_false(hl_room_is_evicting(s.room));
        expect_truth(&s, OLD " (8 GiB, in use); new needs 8 GiB");
        hl_queue_leave(&ticket);
        assert_int_equal(run(&s, NULL), 1);
        end(&s);
}

static void one_that_was_loaded_just_now_stays(void **state)
{
        HL_CLEANUP(hl_free_pointer)
        char *name = hl_format("active-%" PRIu64, hl_clock_monotonic() / HL_USEC_PER_SEC - 1),
             *unit = hl_format("model@%s.service", name);
        struct scene s = { .loaded = { unit } };
        put_running(*state, name, "GPU_MEMORY=\"8G\"\n");
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_false(hl_room_is_evicting(s.room));
        expect_truth(&s, " ago, and stays for 30 s); new needs 8 GiB");
        end(&s);
}

/* The gate saw what the plan did not. */
static void one_that_the_gate_refused_waits_on(void **state)
{
        struct scene s = { .loaded = { NULL } };
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 1);
        hl_room_refused(s.room);
        assert_int_equal(step(&s), 0);
        assert_int_equal(queued(), 1);
        assert_int_equal(run(&s, NULL), 1);
        end(&s);
}

static void a_systemd_that_does_not_answer_is_asked_again(void **state)
{
        struct scene s = { .loaded = { NULL } };
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        test_write(*state, "config.json", "{");
        assert_int_equal(step(&s), 0);
        put_config(*state, GPU);
        assert_int_equal(run(&s, NULL), 1);
        end(&s);
}

/* Held up: what is in flight ends, and nothing new comes. */
static void who_starves_holds_up_busy_ones(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        uint16_t port;
        HL_CLEANUP(hl_close_fd) int listener = test_listen(&port);
        put_config(*state, GPU ", \"queue_seconds\": 0");
        write_model(*state, OLD, port, "GPU_MEMORY=\"8G\"\n");
        must(hl_ready_mark(OLD, hl_clock_monotonic()) == 0);
        int client = test_connect(port), server = accept(listener, NULL, NULL);
        must(write(client, "POST / HTTP/1.1\r\n\r\n", 19) == 19);
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_false(hl_room_is_evicting(s.room));
        assert_true(hl_turnstile_is_up(OLD));
        close(client);
        close(server);
        assert_int_equal(run(&s, NULL), 1);
        assert_int_equal(fake_count(&s.host.fake, "StopUnit"), 1);
        assert_false(hl_turnstile_is_up(OLD));
        end(&s);
}

/* Nor does it stay for requests that are short, and follow each other: there may be none at any look. */
static void who_starves_holds_up_what_is_used_all_the_time(void **state)
{
        struct scene s = { .loaded = { "model@" OLD ".service" } };
        put_config(*state, GPU ", \"queue_seconds\": 0");
        put_running(*state, OLD, "GPU_MEMORY=\"8G\"\n");
        must(hl_last_use_record(OLD, &s.err) == 0);
        begin(&s, *state, "GPU_MEMORY=\"8G\"\n");
        assert_int_equal(step(&s), 0);
        assert_false(hl_room_is_evicting(s.room));
        assert_true(hl_turnstile_is_up(OLD));
        assert_int_equal(run(&s, NULL), 1);
        end(&s);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(one_that_competes_for_nothing_asks_nobody),
                IN_FOLDER(one_that_fits_starts_and_is_wanted_until_it_was_handed_on),
                IN_FOLDER(the_one_that_is_idle_leaves),
                IN_FOLDER(one_that_was_asked_in_between_is_let_go),
                IN_FOLDER(all_of_them_leave_or_none),
                IN_FOLDER(what_never_fits_is_refused),
                IN_FOLDER(who_came_first_is_first),
                IN_FOLDER(who_came_earlier_than_others_is_before_them),
                IN_FOLDER(what_has_gone_is_noticed),
                IN_FOLDER(one_that_is_wanted_stays),
                IN_FOLDER(one_that_was_loaded_just_now_stays),
                IN_FOLDER(one_that_the_gate_refused_waits_on),
                IN_FOLDER(a_systemd_that_does_not_answer_is_asked_again),
                IN_FOLDER(who_starves_holds_up_busy_ones),
                IN_FOLDER(who_starves_holds_up_what_is_used_all_the_time),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
