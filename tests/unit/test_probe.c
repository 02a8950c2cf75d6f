/* lab/probe and lab/ready: a small model server in a thread, and a systemd of the test's own. */
#include "fake_bus.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "lab/probe.h"
#include "lab/ready.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Gives each connection the next of its answers, the last one again and again. */
struct server {
        pthread_t thread;
        int listener;
        uint16_t port;
        const char *const *answers; /* NULL-terminated; "" closes at once; "…" stays silent until the client leaves */
        struct hl_buf requests;
};

static void answer_one(struct server *s, int fd, const char *answer)
{
        char bytes[1024];
        if (hl_wait_fd(fd, POLLIN, test_deadline()) == 1) {
                ssize_t n = read(fd, bytes, sizeof(bytes));
                hl_buf_add(&s->requests, bytes, n > 0 ? (size_t)n : 0);
        }
        if (strcmp(answer, "…") == 0)
                (void)!read(fd, bytes, sizeof(bytes));
        else
                hl_write_all(fd, answer, strlen(answer), test_deadline());
}

static void *serve(void *data)
{
        struct server *s = data;
        const char *const *next = s->answers;
        int fd;
        while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
                answer_one(s, fd, *next);
                close(fd);
                next += next[1] != NULL;
        }
        return NULL;
}

static void begin(struct server *s, const char *const *answers)
{
        *s = (struct server){ .answers = answers };
        s->listener = test_listen(&s->port);
        must(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void end(struct server *s)
{
        shutdown(s->listener, SHUT_RDWR); /* accept() returns */
        must(pthread_join(s->thread, NULL) == 0);
        close(s->listener);
        hl_buf_free(&s->requests);
}

#define ANSWERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect_probe(const char *answer, int expected)
{
        struct server s;
        begin(&s, ANSWERS(answer));
        int status = hl_probe(s.port, "/health", test_deadline());
        end(&s);
        if (status != expected)
                fail_msg("%s: %d", answer, status);
}

static void statuses_are_read(void **state)
{
        (void)state;
        expect_probe("HTTP/1.1 200 OK\r\n\r\n", 200);
        expect_probe("HTTP/1.0 503 Loading model\r\nContent-Length: 0\r\n\r\n", 503);
        expect_probe("HTTP/1.1 404\r\n\r\n", 404);
        expect_probe("HTTP/1.1 204", 204);
}

static void what_is_not_http_is_eproto(void **state)
{
        (void)state;
        expect_probe("", -EPROTO);
        expect_probe("HTTP/1.1 2", -EPROTO);
        expect_probe("SSH-2.0-OpenSSH_9.2\r\n", -EPROTO);
        expect_probe("HTTP/1.1 abc OK\r\n", -EPROTO);
        expect_probe("HTTP/2.0 200 OK\r\n", -EPROTO);
        expect_probe("HTTP/1.1 099 OK\r\n", -EPROTO);
}

static void the_request_is_a_plain_get(void **state)
{
        (void)state;
        struct server s;
        begin(&s, ANSWERS("HTTP/1.1 200 OK\r\n\r\n"));
        assert_int_equal(hl_probe(s.port, "/v1/health?x=1", test_deadline()), 200);
        char *host = hl_format("\r\nHost: 127.0.0.1:%u\r\n", s.port);
        shutdown(s.listener, SHUT_RDWR);
        must(pthread_join(s.thread, NULL) == 0);
        assert_int_equal(strncmp(s.requests.data, "GET /v1/health?x=1 HTTP/1.1\r\n", 29), 0);
        assert_true(test_contains(&s.requests, host));
        assert_true(test_contains(&s.requests, "\r\nConnection: close\r\n\r\n"));
        free(host);
        close(s.listener);
        hl_buf_free(&s.requests);
}

static void nobody_listens(void **state)
{
        (void)state;
        uint16_t port;
        close(test_listen(&port));
        assert_int_equal(hl_probe(port, "/", test_deadline()), -ECONNREFUSED);
}

static void no_answer_in_time(void **state)
{
        (void)state;
        struct server s;
        begin(&s, ANSWERS("…"));
        uint64_t deadline_us = hl_clock_monotonic() + 30 * HL_USEC_PER_MSEC;
        assert_int_equal(hl_probe(s.port, "/", deadline_us), -ETIMEDOUT);
        assert_true(hl_clock_monotonic() >= deadline_us);
        end(&s);
}

static struct hl_model model_at(uint16_t port)
{
        static char path[] = "/health", unit[] = "model@active-1.service", file[] = "/etc/models/m";
        return (struct hl_model){ .name = "m", .port = port, .health_path = path, .unit = unit, .file_path = file };
}

static void expect_state(const char *answer, enum hl_model_state expected)
{
        struct server s;
        begin(&s, ANSWERS(answer));
        struct hl_model model = model_at(s.port);
        enum hl_model_state is = hl_ready_state(&model, HL_UNIT_ACTIVE);
        end(&s);
        if (is != expected)
                fail_msg("%s: %s", answer, hl_model_state_name(is));
}

static void states_of_models(void **state)
{
        (void)state;
        expect_state("HTTP/1.1 200 OK\r\n\r\n", HL_MODEL_LOADED);
        expect_state("HTTP/1.1 302 Found\r\n\r\n", HL_MODEL_LOADED);
        expect_state("HTTP/1.1 401 Unauthorized\r\n\r\n", HL_MODEL_LOADED);
        expect_state("HTTP/1.1 403 Forbidden\r\n\r\n", HL_MODEL_LOADED);
        expect_state("HTTP/1.1 503 Loading model\r\n\r\n", HL_MODEL_LOADING);
        expect_state("HTTP/1.1 404 Not Found\r\n\r\n", HL_MODEL_LOADING);
        expect_state("", HL_MODEL_LOADING);
        expect_state("…", HL_MODEL_LOADED); /* too busy to answer */

        uint16_t port;
        close(test_listen(&port));
        struct hl_model model = model_at(port);
        assert_int_equal(hl_ready_state(&model, HL_UNIT_ACTIVE), HL_MODEL_LOADING); /* it does not listen yet */
        assert_int_equal(hl_ready_state(&model, HL_UNIT_STARTING), HL_MODEL_LOADING);
        assert_int_equal(hl_ready_state(&model, HL_UNIT_FAILED), HL_MODEL_FAILED);
        assert_int_equal(hl_ready_state(&model, HL_UNIT_INACTIVE), HL_MODEL_UNLOADED);
        assert_int_equal(hl_ready_state(&model, HL_UNIT_STOPPING), HL_MODEL_UNLOADED);
        model.port = 0;
        assert_int_equal(hl_ready_state(&model, HL_UNIT_ACTIVE), HL_MODEL_LOADED); /* nothing to be asked */
        assert_string_equal(hl_model_state_name(HL_MODEL_UNLOADED), "unloaded");
        assert_string_equal(hl_model_state_name(HL_MODEL_LOADING), "loading");
        assert_string_equal(hl_model_state_name(HL_MODEL_LOADED), "loaded");
        assert_string_equal(hl_model_state_name(HL_MODEL_FAILED), "failed");
}

static int wait_ready(const struct hl_model *model, struct fake_systemd *systemd, uint64_t deadline_us,
                      struct hl_err *err)
{
        struct fake_bus fake;
        struct hl_bus bus;
        *err = (struct hl_err){ 0 };
        fake_start(&fake, fake_systemd_answer, systemd, &bus);
        int r = hl_ready_wait(&bus, model, deadline_us, err);
        fake_stop(&fake, &bus);
        return r;
}

static void ready_is_waited_for(void **state)
{
        (void)state;
        struct fake_systemd systemd = { 0 };
        struct server s;
        struct hl_err err;
        begin(&s,
              ANSWERS("", "HTTP/1.1 503 Loading\r\n\r\n", "HTTP/1.1 503 Loading\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"));
        struct hl_model model = model_at(s.port);
        int r = wait_ready(&model, &systemd, test_deadline(), &err);
        end(&s);
        assert_int_equal(r, 0);
        assert_int_equal(systemd.lists, 4); /* also once it answers: it might be another program that does */
}

static void a_unit_that_ends_is_not_waited_for(void **state)
{
        (void)state;
        struct fake_systemd systemd = { .list_fails_after = 2,
                                        .state_after = "failed",
                                        .result = "exit-code",
                                        .exit_code = CLD_EXITED,
                                        .exit_status = 7 };
        uint16_t port;
        struct hl_err err;
        close(test_listen(&port));
        struct hl_model model = model_at(port);
        assert_int_equal(wait_ready(&model, &systemd, test_deadline(), &err), -EIO);
        assert_int_equal(err.kind, HL_ERR_UPSTREAM);
        assert_non_null(strstr(err.message, "ended before it was ready: exit-code, status 7"));
        assert_int_equal(systemd.lists, 3);
}

static void ready_has_a_deadline(void **state)
{
        (void)state;
        struct fake_systemd systemd = { 0 };
        struct server s;
        struct hl_err err;
        begin(&s, ANSWERS("HTTP/1.1 503 Loading\r\n\r\n"));
        struct hl_model model = model_at(s.port);
        int r = wait_ready(&model, &systemd, hl_clock_monotonic() + 100 * HL_USEC_PER_MSEC, &err);
        end(&s);
        assert_int_equal(r, -ETIMEDOUT);
        assert_int_equal(err.kind, HL_ERR_TIMEOUT);
        assert_string_equal(err.code, "not_ready");
        assert_non_null(strstr(err.message, ", /health: "));
}

static void ready_without_a_port_or_a_bus(void **state)
{
        (void)state;
        struct fake_systemd systemd = { .list_error = SD_BUS_ERROR_ACCESS_DENIED };
        struct hl_err err;
        struct hl_model model = model_at(0);
        assert_int_equal(wait_ready(&model, &systemd, test_deadline(), &err), -EINVAL);
        assert_int_equal(err.kind, HL_ERR_CONFLICT);
        assert_string_equal(err.code, "model_without_port");
        close(test_listen(&model.port));
        assert_int_equal(wait_ready(&model, &systemd, test_deadline(), &err), -EACCES);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_true(wait_ready(&model, &systemd, test_deadline(), &err) < 0);
        assert_int_equal(err.kind, HL_ERR_BUSY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(statuses_are_read),          cmocka_unit_test(what_is_not_http_is_eproto),
                cmocka_unit_test(the_request_is_a_plain_get), cmocka_unit_test(nobody_listens),
                cmocka_unit_test(no_answer_in_time),          cmocka_unit_test(states_of_models),
                cmocka_unit_test(ready_is_waited_for),        cmocka_unit_test(a_unit_that_ends_is_not_waited_for),
                cmocka_unit_test(ready_has_a_deadline),       cmocka_unit_test(ready_without_a_port_or_a_bus),
        };
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
