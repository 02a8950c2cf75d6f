/* SPDX-License-Identifier: MIT */
/* models/stop: a stop's way, with a systemd of the test's own, and what it says later of requests. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "models/last_use.h"
#include "models/ready_mark.h"
#include "models/stop.h"
#include "models/turnstile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE HL_USEC_PER_MINUTE

/* ---- the folders, and what stands in them ---- */

static int setup(void **state)
{
        test_folder_setup(state);
        must(mkdir(test_path(*state, "stopped"), 0755) == 0 && mkdir(test_path(*state, "started"), 0755) == 0 &&
             setenv("HL_STOPPED_DIRECTORY", test_path(*state, "stopped"), 1) == 0 &&
             setenv("HL_STARTED_DIRECTORY", test_path(*state, "started"), 1) == 0);
        return 0;
}

static int teardown(void **state)
{
        unsetenv("HL_STOPPED_DIRECTORY");
        unsetenv("HL_STARTED_DIRECTORY");
        return test_folder_teardown(state);
}

static bool is_noted(uint64_t *ret_begin_us, uint64_t *ret_end_us)
{
        struct stat status;
        if (stat(test_path(getenv("HL_STOPPED_DIRECTORY"), "m"), &status) < 0)
                return false;
        *ret_begin_us = hl_timespec_us(status.st_mtim);
        *ret_end_us = hl_timespec_us(status.st_atim);
        return true;
}

/* ---- a stop ---- */

struct stopping {
        struct fake_systemd systemd;
        struct fake_bus fake;
        struct hl_bus bus;
        struct hl_config config;
        struct hl_model model;
        struct hl_verdict verdict;
        struct hl_stop stop;
        struct hl_err err;
};

/* Of an idle model. */
#define STOPPING                                                                                                       \
        {                                                                                                              \
                .systemd = { .job_result = "done", .state_after = "inactive" },                                        \
                .config = { .host_idle_us = HL_USEC_INFINITY }, .model = {                                             \
                        .name = "m",                                                                                   \
                        .unit = (char[]){ "model@active-1.service" },                                                  \
                        .file_path = (char[]){ "/nonexistent" },                                                       \
                        .idle_timeout_us = 1                                                                           \
                }                                                                                                      \
        }

/* As it was when systemd was asked to stop the model. */
static bool was_held, was_noted, was_up;

static int answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        if (strcmp(member, "StopUnit") == 0) {
                uint64_t begin_us, end_us;
                int fd = open(test_path(getenv("STATE_DIRECTORY"), "activity/m"), O_RDONLY | O_CLOEXEC);
                was_held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
                close(fd);
                was_noted = is_noted(&begin_us, &end_us);
                was_up = hl_turnstile_is_up("m");
        }
        return fake_systemd_answer(fake, call, member);
}

static int try_stop(struct stopping *s)
{
        s->err = (struct hl_err){ 0 };
        fake_start(&s->fake, answer, &s->systemd, &s->bus);
        return hl_stop_if_idle(&s->stop, &s->bus, &s->config, &s->model, &s->verdict, &s->err);
}

static int wait_for(struct hl_stop *stop, struct hl_err *err)
{
        const struct hl_wait wait = hl_wait_until(test_deadline());
        return hl_job_wait(&stop->job, &wait, err);
}

/* Not before the fake has said all that it has to say. */
static void free_stop(struct hl_stop *stop)
{
        struct hl_err ignored = { 0 };
        if (stop->job.path)
                wait_for(stop, &ignored);
        hl_stop_free(stop);
}

static void end_stop(struct stopping *s)
{
        free_stop(&s->stop);
        fake_stop(&s->fake, &s->bus);
}

static void a_model_is_held_until_its_stop_is_queued(void **state)
{
        (void)state;
        struct stopping s = STOPPING;
        assert_int_equal(try_stop(&s), 1);
        assert_int_equal(s.verdict.reason, HL_VERDICT_IDLE);
        assert_int_equal(fake_count(&s.fake, "StopUnit"), 1);
        assert_true(was_held && was_up);
        assert_true(hl_turnstile_is_up("m"));                 /* until it has ended */
        assert_true(hl_last_use_at("m") == 0);                /* it was held, and not used */
        assert_int_equal(hl_last_use_record("m", &s.err), 0); /* and does not wait any more */
        end_stop(&s);
        assert_false(hl_turnstile_is_up("m"));
}

static void what_is_in_use_is_not_stopped(void **state)
{
        (void)state;
        static const struct {
                const char *unit;
                enum hl_verdict_reason reason;
        } rows[] = {
                { "model@active-1.service", HL_VERDICT_RECENTLY_USED }, /* a request came in the very last moment */
                { "model@failed-1.service", HL_VERDICT_FAILED },        /* it ended by itself */
        };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct stopping s = STOPPING;
                uint64_t begin_us, end_us;
                HL_CLEANUP(hl_free_pointer) char *unit = s.model.unit = hl_strdup(rows[i].unit);
                s.model.idle_timeout_us = MINUTE;
                must(hl_last_use_record("m", &s.err) == 0);
                assert_int_equal(try_stop(&s), 0);
                assert_int_equal(s.verdict.reason, rows[i].reason);
                assert_int_equal(fake_count(&s.fake, "StopUnit"), 0);
                assert_false(is_noted(&begin_us, &end_us));
                assert_false(hl_turnstile_is_up("m"));
                end_stop(&s);
        }
}

static void a_stop_that_fails_is_told(void **state)
{
        (void)state;
        static const struct {
                struct fake_systemd systemd;
                int expected;
        } rows[] = {
                { { .refusal = SD_BUS_ERROR_ACCESS_DENIED }, -EACCES },
                { { .refusal = "org.freedesktop.systemd1.NoSuchUnit" }, -ENOENT }, /* its file is gone */
                { { .list_error = SD_BUS_ERROR_NO_REPLY }, -ETIMEDOUT },
        };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct stopping s = STOPPING;
                uint64_t begin_us, end_us;
                s.systemd = rows[i].systemd;
                assert_int_equal(try_stop(&s), rows[i].expected);
                assert_true(s.err.kind != HL_ERR_NONE);
                assert_false(is_noted(&begin_us, &end_us)); /* there was none */
                assert_int_equal(hl_last_use_record("m", &s.err), 0);
                end_stop(&s);
        }
}

static void what_cannot_be_held_or_noted_is_not_stopped(void **state)
{
        (void)state;
        static const char *const variables[] = { "STATE_DIRECTORY", "HL_STOPPED_DIRECTORY" };
        for (size_t i = 0; i < HL_COUNT(variables); i++) {
                struct stopping s = STOPPING;
                char *folder = hl_strdup(getenv(variables[i]));
                must(setenv(variables[i], "/nonexistent", 1) == 0);
                assert_int_equal(try_stop(&s), -ENOENT);
                assert_int_equal(s.err.kind, HL_ERR_INTERNAL);
                assert_int_equal(fake_count(&s.fake, "StopUnit"), 0);
                end_stop(&s);
                must(setenv(variables[i], folder, 1) == 0);
                free(folder);
        }
}

/* ---- when it was ---- */

static void its_begin_is_noted_before_the_job_and_its_end_behind_it(void **state)
{
        (void)state;
        struct stopping s = STOPPING;
        uint64_t begin_us = 0, end_us = 42, before_us = hl_clock_monotonic();
        was_noted = false;
        must(try_stop(&s) == 1);
        assert_true(was_noted);
        assert_true(is_noted(&begin_us, &end_us));
        assert_true(begin_us >= before_us && begin_us <= hl_clock_monotonic());
        assert_int_equal(end_us, 0);
        assert_int_equal(wait_for(&s.stop, &s.err), 0);
        assert_true(is_noted(&begin_us, &end_us));
        assert_true(end_us > begin_us && end_us <= hl_clock_monotonic());
        end_stop(&s);
}

static void a_stop_that_was_called_off_has_no_end(void **state)
{
        (void)state;
        struct stopping s = STOPPING;
        uint64_t begin_us, end_us = 42;
        s.systemd.job_result = "canceled";
        must(try_stop(&s) == 1);
        assert_int_equal(wait_for(&s.stop, &s.err), -EINTR);
        assert_true(is_noted(&begin_us, &end_us));
        assert_int_equal(end_us, 0);
        end_stop(&s);
}

/* What there is to say about a request; seconds and milliseconds are counted from the begin of the stop. */
struct request {
        const char *what;
        int end_ms;          /* of the stop; 0: nobody has noted it */
        bool is_awaited;     /* the process that stops the model lives */
        const char *unit;    /* its state now; NULL: systemd is not asked */
        int active_s;        /* since when it is, or was, active; 0: systemd has forgotten it */
        int start_ms;        /* of what runs now; 0: nothing does */
        int ready_ms;        /* when it was seen ready last */
        int sent_ms, cut_ms; /* of the request */
        bool is_cut_by_it;
};

static const struct request requests[] = {
        { "before", .end_ms = 500, .sent_ms = -900, .cut_ms = -100 },
        { "in the middle", .end_ms = 500, .sent_ms = 100, .cut_ms = 400, .is_cut_by_it = true },
        { "from its begin to its end", .end_ms = 500, .sent_ms = 0, .cut_ms = 500, .is_cut_by_it = true },
        { "told by the millisecond", .end_ms = 500, .sent_ms = -2, .cut_ms = -2, .is_cut_by_it = true },
        { "sent before, cut by it", .end_ms = 500, .sent_ms = -50, .cut_ms = 400, .is_cut_by_it = true },
        { "NGINX has seen it late", .end_ms = 500, .sent_ms = 100, .cut_ms = 3000, .is_cut_by_it = true },
        { "after its end", .end_ms = 500, .sent_ms = 600, .cut_ms = 700 },
        { "when is not known", .end_ms = 500, .sent_ms = INT_MIN, .cut_ms = 100 },
        { "of what was started since", .end_ms = 500, .start_ms = 300, .sent_ms = 400, .cut_ms = 450 },
        { "of what was there before that", .end_ms = 500, .start_ms = 300, .sent_ms = 200, .cut_ms = 300,
          .is_cut_by_it = true },
        { "the end is awaited", .is_awaited = true, .sent_ms = 100, .cut_ms = 400, .is_cut_by_it = true },
        { "its unit still runs", .is_awaited = true, .start_ms = -90000, .sent_ms = 100, .cut_ms = 400,
          .is_cut_by_it = true },
        { "it was started again, awaited", .is_awaited = true, .start_ms = 1000, .sent_ms = 2000, .cut_ms = 2100 },
        { "nobody waits, it is stopping", .unit = "deactivating", .active_s = -100, .start_ms = -90000, .sent_ms = 100,
          .cut_ms = 400, .is_cut_by_it = true },
        { "nobody waits, it is stopped", .unit = "inactive", .active_s = -100, .sent_ms = 100, .cut_ms = 400,
          .is_cut_by_it = true },
        { "nobody waits, it is forgotten", .unit = "inactive", .ready_ms = -900, .sent_ms = 100, .cut_ms = 400,
          .is_cut_by_it = true },
        { "nobody waits, it runs on", .unit = "active", .active_s = -100, .start_ms = -90000, .sent_ms = 100,
          .cut_ms = 400 },
        { "nobody waits, it crashed", .unit = "failed", .active_s = -100, .sent_ms = 100, .cut_ms = 400 },
        { "nobody waits, it runs again", .start_ms = 3000, .sent_ms = 100, .cut_ms = 400, .is_cut_by_it = true },
        { "nobody waits, it ran again", .start_ms = 3000, .sent_ms = 4000, .cut_ms = 4100 },
        { "nobody waits, it was started and crashed", .unit = "failed", .active_s = 3, .sent_ms = 5000,
          .cut_ms = 5100 },
        { "nobody waits, it was started and stopped", .unit = "inactive", .active_s = 3, .sent_ms = 5000,
          .cut_ms = 5100 },
        { "nobody waits, that is forgotten, too", .unit = "inactive", .ready_ms = 3500, .sent_ms = 5000,
          .cut_ms = 5100 },
};

static uint64_t behind(uint64_t us, int ms)
{
        return us + (uint64_t)((int64_t)ms * (int64_t)HL_USEC_PER_MSEC);
}

static struct timespec timespec_of(uint64_t us)
{
        return (struct timespec){ .tv_sec = (time_t)(us / HL_USEC_PER_SEC),
                                  .tv_nsec = (long)(us % HL_USEC_PER_SEC * 1000) };
}

/* A stop as it was noted. Returns what its process holds while it lives. */
static int note_stop(uint64_t begin_us, uint64_t end_us)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        const struct timespec times[] = { timespec_of(end_us), timespec_of(begin_us) };
        int fd = open(test_path(getenv("HL_STOPPED_DIRECTORY"), "m"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        must(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0 && futimens(fd, times) == 0);
        return fd;
}

/* systemd's mark of what runs. */
static void note_start(const char *unit, uint64_t at_us)
{
        HL_CLEANUP(hl_free_pointer) char *name = hl_format("invocation:%s", unit);
        const struct timespec times[] = { timespec_of(at_us), timespec_of(at_us) };
        const char *path = test_path(getenv("HL_STARTED_DIRECTORY"), name);
        must(symlink("0123", path) == 0 && utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

#define AGO_US (20 * HL_USEC_PER_SEC) /* the begin of the stop */

static bool was_cut(const struct request *r)
{
        uint64_t begin_us = hl_clock_monotonic() - AGO_US, began_at_us = hl_clock_realtime() - AGO_US;
        uint64_t active_us = r->active_s ? behind(begin_us, r->active_s * 1000) : 0;
        HL_CLEANUP(hl_free_pointer)
        char *unit = hl_format("model@%s-%llu.service", r->unit ? r->unit : "inactive",
                               (unsigned long long)(active_us / HL_USEC_PER_SEC));
        const struct hl_model model = { .name = "m", .unit = unit };
        struct fake_systemd systemd = { 0 };
        struct fake_bus fake;
        struct hl_bus bus;
        fake_start(&fake, fake_systemd_answer, &systemd, &bus);
        int fd = note_stop(begin_us, r->end_ms ? behind(begin_us, r->end_ms) : 0);
        if (!r->is_awaited)
                close(fd);
        if (r->start_ms)
                note_start(unit, behind(began_at_us, r->start_ms));
        if (r->ready_ms)
                must(hl_ready_mark("m", behind(begin_us, r->ready_ms)) == 0);
        uint64_t sent_us = r->sent_ms == INT_MIN ? 0 : behind(began_at_us, r->sent_ms);
        bool cut = hl_stop_has_cut(&bus, &model, sent_us, behind(began_at_us, r->cut_ms));
        assert_int_equal(bus.calls > 0, r->unit != NULL);
        fake_stop(&fake, &bus);
        if (r->is_awaited)
                close(fd);
        return cut;
}

static void what_a_stop_has_cut(void **state)
{
        for (size_t i = 0; i < HL_COUNT(requests); i++) {
                if (i > 0)
                        must(teardown(state) == 0 && setup(state) == 0);
                if (was_cut(&requests[i]) != requests[i].is_cut_by_it)
                        fail_msg("%s: it says %s", requests[i].what, requests[i].is_cut_by_it ? "no" : "yes");
        }
}

static void without_a_stop_nothing_was_cut(void **state)
{
        (void)state;
        struct hl_bus bus = HL_BUS_INIT;
        const struct hl_model model = { .name = "m", .unit = (char[]){ "model@inactive-1.service" } };
        uint64_t now_us = hl_clock_realtime();
        assert_false(hl_stop_has_cut(&bus, &model, now_us, now_us));
        assert_false(hl_stop_was_begun("m", model.unit));
}

static void whether_a_stop_was_begun_since_the_start(void **state)
{
        (void)state;
        const char *unit = "model@active-1.service";
        close(note_stop(hl_clock_monotonic() - AGO_US, 0));
        assert_true(hl_stop_was_begun("m", unit)); /* and it does not run any more */
        note_start(unit, hl_clock_realtime() - 2 * AGO_US);
        assert_true(hl_stop_was_begun("m", unit));
        must(unlink(test_path(getenv("HL_STARTED_DIRECTORY"), "invocation:model@active-1.service")) == 0);
        note_start(unit, hl_clock_realtime());
        assert_false(hl_stop_was_begun("m", unit));
}

/* ---- after the last request ---- */

/* A request that nobody has answered, and what it takes to drain its model. */
struct draining {
        struct fake_systemd systemd;
        struct fake_bus fake;
        struct hl_bus bus;
        struct test_connection connection;
        struct hl_model model;
        struct hl_stop stop;
        struct hl_err err;
        unsigned left;
        int client_fd; /* -1: nobody can leave */
};

static void begin_draining(struct draining *d)
{
        char bytes[8];
        *d = (struct draining){ .systemd = { .job_result = "done", .state_after = "inactive" },
                                .connection = test_open_connection(),
                                .model = { .name = "m", .unit = (char[]){ "model@active-1.service" } },
                                .left = 42,
                                .client_fd = -1 };
        d->model.port = d->connection.port;
        d->model.unit = hl_strdup("model@active-1.service");
        fake_start(&d->fake, fake_systemd_answer, &d->systemd, &d->bus);
        must(write(d->connection.client, "x", 1) == 1 && read(d->connection.server, bytes, sizeof(bytes)) == 1);
}

static void end_draining(struct draining *d)
{
        free_stop(&d->stop);
        fake_stop(&d->fake, &d->bus);
        free(d->model.unit);
        close(d->connection.listener);
}

static int drain_for(struct draining *d, uint64_t us)
{
        const struct hl_wait wait = { hl_clock_monotonic() + us, d->client_fd };
        return hl_stop_drain(&d->stop, &d->bus, &d->model, &wait, &d->left, &d->err);
}

static void *finish(void *data)
{
        struct test_connection *c = data;
        close(c->server);
        close(c->client);
        return NULL;
}

static void *use(void *data)
{
        struct hl_err err = { 0 };
        must(hl_last_use_record(data, &err) == 0);
        return NULL;
}

static void a_drain_that_ends_with_a_request(void **state)
{
        (void)state;
        struct draining d;
        uint64_t begin_us, end_us, began_us = hl_clock_monotonic();
        begin_draining(&d);
        assert_int_equal(drain_for(&d, 250 * HL_USEC_PER_MSEC), 0); /* it was waited for, and it is no error */
        assert_int_equal(d.left, 1);
        assert_true(hl_clock_monotonic() >= began_us + 100 * HL_USEC_PER_MSEC);
        assert_int_equal(hl_last_use_record("m", &d.err), 0); /* it is not held */
        assert_int_equal(hl_stop_begin(&d.stop, &d.err), 0);
        assert_int_equal(fake_count(&d.fake, "StopUnit"), 1);
        assert_false(is_noted(&begin_us, &end_us)); /* what it cuts, it was told to cut */
        finish(&d.connection);
        end_draining(&d);
}

static void a_drain_that_ends_without(void **state)
{
        (void)state;
        struct draining d;
        pthread_t finisher, user;
        uint64_t begin_us, end_us, began_us = hl_clock_monotonic();
        begin_draining(&d);
        must(pthread_create(&finisher, NULL, finish, &d.connection) == 0);
        assert_int_equal(drain_for(&d, TEST_TIMEOUT_US), 0);
        assert_int_equal(d.left, 0);
        assert_true(hl_clock_monotonic() < began_us + TEST_TIMEOUT_US / 2); /* it does not wait for nothing */
        must(pthread_join(finisher, NULL) == 0 && pthread_create(&user, NULL, use, d.model.name) == 0);
        must(usleep(50 * 1000) == 0);
        assert_true(hl_last_use_at("m") == 0); /* a use waits until the stop is queued */
        assert_int_equal(hl_stop_begin(&d.stop, &d.err), 0);
        must(pthread_join(user, NULL) == 0);
        assert_true(hl_last_use_at("m") > 0);
        assert_int_equal(wait_for(&d.stop, &d.err), 0);
        assert_true(is_noted(&begin_us, &end_us) && end_us > begin_us);
        end_draining(&d);
}

static void a_model_without_a_port_has_no_requests(void **state)
{
        (void)state;
        struct draining d;
        begin_draining(&d);
        d.model.port = 0;
        assert_int_equal(drain_for(&d, TEST_TIMEOUT_US), 0);
        assert_int_equal(d.left, 0);
        finish(&d.connection);
        end_draining(&d);
}

/* Just now a request was announced. Before the time is up any gap will do: it might end in the middle of one. */
static void an_announced_request_is_waited_for(void **state)
{
        (void)state;
        struct draining d;
        begin_draining(&d);
        finish(&d.connection);
        must(hl_last_use_record("m", &d.err) == 0);
        uint64_t deadline_us = hl_clock_monotonic() + 900 * HL_USEC_PER_MSEC;
        assert_int_equal(drain_for(&d, 900 * HL_USEC_PER_MSEC), 0);
        uint64_t ended_us = hl_clock_monotonic();
        assert_int_equal(d.left, 0);
        assert_true(ended_us + 900 / 4 * HL_USEC_PER_MSEC >= deadline_us);
        assert_true(ended_us + 20 * HL_USEC_PER_MSEC <= deadline_us); /* in a gap, and not at the end */
        end_draining(&d);
}

static void a_drain_whose_client_has_left_stops_nothing(void **state)
{
        (void)state;
        struct draining d;
        int client[2];
        uint64_t began_us = hl_clock_monotonic();
        begin_draining(&d);
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
        d.client_fd = client[0];
        close(client[1]);
        assert_int_equal(drain_for(&d, TEST_TIMEOUT_US), -ECANCELED);
        assert_true(hl_clock_monotonic() < began_us + TEST_TIMEOUT_US / 2);
        assert_int_equal(d.left, 42);
        assert_int_equal(hl_last_use_record("m", &d.err), 0); /* it is not held */
        finish(&d.connection);
        end_draining(&d);
        close(client[0]);
}

static void what_cannot_be_held_is_not_drained(void **state)
{
        (void)state;
        struct draining d;
        begin_draining(&d);
        finish(&d.connection);
        setenv("STATE_DIRECTORY", "/nonexistent", 1);
        assert_int_equal(drain_for(&d, TEST_TIMEOUT_US), -ENOENT);
        assert_int_equal(d.left, 42);
        end_draining(&d);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(a_model_is_held_until_its_stop_is_queued),
                IN_FOLDER(what_is_in_use_is_not_stopped),
                IN_FOLDER(a_stop_that_fails_is_told),
                IN_FOLDER(what_cannot_be_held_or_noted_is_not_stopped),
                IN_FOLDER(its_begin_is_noted_before_the_job_and_its_end_behind_it),
                IN_FOLDER(a_stop_that_was_called_off_has_no_end),
                IN_FOLDER(what_a_stop_has_cut),
                IN_FOLDER(without_a_stop_nothing_was_cut),
                IN_FOLDER(whether_a_stop_was_begun_since_the_start),
                IN_FOLDER(a_drain_that_ends_with_a_request),
                IN_FOLDER(a_drain_that_ends_without),
                IN_FOLDER(a_model_without_a_port_has_no_requests),
                IN_FOLDER(an_announced_request_is_waited_for),
                IN_FOLDER(a_drain_whose_client_has_left_stops_nothing),
                IN_FOLDER(what_cannot_be_held_is_not_drained),
        };
        return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
