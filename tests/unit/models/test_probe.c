/* SPDX-License-Identifier: MIT */
/* models/probe, models/requests and models/readiness: a small model server in a thread, and a systemd of the test's
 * own. */
#include "fake_bus.h"
#include "fake_model.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "models/probe.h"
#include "models/readiness.h"
#include "models/requests.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_probe(const char *answer, int expected)
{
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS(answer));
        int status = hl_probe(s.port, "/health", test_deadline());
        fake_model_stop(&s);
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
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS("HTTP/1.1 200 OK\r\n\r\n"));
        assert_int_equal(hl_probe(s.port, "/v1/health?x=1", test_deadline()), 200);
        char *host = hl_format("\r\nHost: 127.0.0.1:%u\r\n", s.port);
        assert_int_equal(strncmp(s.requests.data, "GET /v1/health?x=1 HTTP/1.1\r\n", 29), 0);
        assert_true(test_contains(&s.requests, host));
        assert_true(test_contains(&s.requests, "\r\nConnection: close\r\n\r\n"));
        free(host);
        fake_model_stop(&s);
}

#define SAYS(text) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" text

/* A status 200 whose text says that it is none. */
static void loading_is_said_in_a_text(void **state)
{
        (void)state;
        expect_probe(SAYS("{\"status\":\"loading model\"}"), 503);
        expect_probe(SAYS("{\"status\": \"Loading\", \"progress\": 0.4}\n"), 503);
        expect_probe(SAYS("{\"state\":\"starting\"}"), 503);
        expect_probe(SAYS("{\"status\":\"unhealthy\",\"issues\":[]}"), 503);
        expect_probe(SAYS("{\"status\":\"not ready\"}"), 503);
        expect_probe("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"status\":\"loading\"}\r\n0\r\n\r\n",
                     503);
        expect_probe(SAYS("Loading...\n"), 503);
        /* A length that is none ends nothing; what stands behind the length is no text. */
        expect_probe("HTTP/1.1 200 OK\r\nContent-Length: r7\r\n\r\nLoading", 503);
        expect_probe("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{\"status\":\"loading\"}", 200);
        expect_probe(SAYS("\"Unloaded\""), 503);
        /* Whatever else it says, it has loaded. */
        expect_probe(SAYS("{\"status\":\"ok\"}"), 200);
        expect_probe(SAYS("{\"status\":\"healthy\",\"model_loaded\":false}"), 200);
        expect_probe(SAYS("{\"message\":\"loading\"}"), 200);
        expect_probe(SAYS("{\"data\":{\"status\":\"loading\"}}"), 200);
        expect_probe(SAYS("{\"status\":\"loading"), 200);
        expect_probe(SAYS("Ollama is running"), 200);
        expect_probe(SAYS("<html><title>Loading</title></html>"), 200);
        expect_probe(SAYS("Ready"), 200);
        expect_probe("HTTP/1.1 204 No Content\r\n\r\n", 204);
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
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS("…"));
        uint64_t deadline_us = hl_clock_monotonic() + 30 * HL_USEC_PER_MSEC;
        assert_int_equal(hl_probe(s.port, "/", deadline_us), -ETIMEDOUT);
        assert_true(hl_clock_monotonic() >= deadline_us);
        fake_model_stop(&s);
}

/* A program with an event loop asks step by step, and is never kept waiting. */
static void steps_do_not_wait(void **state)
{
        (void)state;
        struct hl_probe probe;
        uint16_t port;
        short events = 0;
        char request[512];
        HL_CLEANUP(hl_close_fd) int listener = test_listen(&port);
        assert_int_equal(hl_probe_begin(&probe, port, "/health"), 0);
        assert_int_equal(hl_probe_step(&probe, &events), -EAGAIN);
        assert_int_equal(events, POLLIN);
        HL_CLEANUP(hl_close_fd) int fd = accept(listener, NULL, NULL);
        assert_true(read(fd, request, sizeof(request)) > 0);
        static const char *const pieces[] = { "H", "TTP/1.1 5", "03" };
        for (size_t i = 0; i < HL_COUNT(pieces); i++) {
                assert_int_equal(hl_probe_step(&probe, &events), -EAGAIN);
                must(write(fd, pieces[i], strlen(pieces[i])) == (ssize_t)strlen(pieces[i]));
                assert_int_equal(hl_wait_fd(probe.fd, POLLIN, test_deadline()), 1);
        }
        assert_int_equal(hl_probe_step(&probe, &events), 503);
        hl_probe_end(&probe);
        assert_int_equal(probe.fd, -1);
        hl_probe_end(&probe); /* nothing left to end */
}

static void a_full_socket_is_waited_for(void **state)
{
        (void)state;
        struct hl_probe probe;
        uint16_t port;
        short events = 0;
        int listener = test_listen(&port);
        HL_CLEANUP(hl_free_pointer) char *path = hl_alloc(16 * 1024 * 1024 + 1);
        memset(path, 'x', 16 * 1024 * 1024);
        assert_int_equal(hl_probe_begin(&probe, port, path), 0);
        assert_int_equal(hl_probe_step(&probe, &events), -EAGAIN);
        assert_int_equal(events, POLLOUT);
        hl_probe_end(&probe);
        close(listener);
}

static struct hl_model model_at(uint16_t port)
{
        static char path[] = "/health", unit[] = "model@active-1.service", file[] = "/etc/models/m";
        return (struct hl_model){ .name = "m", .port = port, .health_path = path, .unit = unit, .file_path = file };
}

static void expect_state(const char *answer, enum hl_model_state expected)
{
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS(answer));
        struct hl_model model = model_at(s.port);
        enum hl_model_state is = hl_readiness_state(&model, HL_UNIT_ACTIVE);
        fake_model_stop(&s);
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
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_ACTIVE), HL_MODEL_LOADING); /* it does not listen yet */
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_STARTING), HL_MODEL_LOADING);
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_FAILED), HL_MODEL_FAILED);
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_INACTIVE), HL_MODEL_UNLOADED);
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_STOPPING), HL_MODEL_UNLOADED);
        model.port = 0;
        assert_int_equal(hl_readiness_state(&model, HL_UNIT_ACTIVE), HL_MODEL_LOADED); /* nothing to be asked */
        assert_string_equal(hl_model_state_name(HL_MODEL_UNLOADED), "unloaded");
        assert_string_equal(hl_model_state_name(HL_MODEL_LOADING), "loading");
        assert_string_equal(hl_model_state_name(HL_MODEL_LOADED), "loaded");
        assert_string_equal(hl_model_state_name(HL_MODEL_FAILED), "failed");
}

static int client_fd = -1; /* of who waits */

static int wait_ready(const struct hl_model *model, struct fake_systemd *systemd, uint64_t deadline_us,
                      struct hl_err *err)
{
        struct fake_bus fake;
        struct hl_bus bus;
        *err = (struct hl_err){ 0 };
        fake_start(&fake, fake_systemd_answer, systemd, &bus);
        const struct hl_wait wait = { deadline_us, client_fd };
        int r = hl_readiness_wait(&bus, model, &wait, err);
        fake_stop(&fake, &bus);
        return r;
}

static void nobody_waits_for_who_has_left(void **state)
{
        (void)state;
        struct fake_systemd systemd = { 0 };
        struct fake_model s;
        struct hl_err err;
        int client[2];
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
        close(client[1]);
        client_fd = client[0];
        fake_model_start(&s, FAKE_ANSWERS("HTTP/1.1 503 Loading\r\n\r\n"));
        struct hl_model model = model_at(s.port);
        int r = wait_ready(&model, &systemd, test_deadline(), &err);
        fake_model_stop(&s);
        client_fd = -1;
        close(client[0]);
        assert_int_equal(r, -ECANCELED);
        assert_int_equal(err.kind, HL_ERR_CANCELLED);
}

static void ready_is_waited_for(void **state)
{
        (void)state;
        struct fake_systemd systemd = { 0 };
        struct fake_model s;
        struct hl_err err;
        fake_model_start(&s, FAKE_ANSWERS("", "HTTP/1.1 503 Loading\r\n\r\n", "HTTP/1.1 503 Loading\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\n\r\n"));
        struct hl_model model = model_at(s.port);
        int r = wait_ready(&model, &systemd, test_deadline(), &err);
        fake_model_stop(&s);
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
        struct fake_model s;
        struct hl_err err;
        fake_model_start(&s, FAKE_ANSWERS("HTTP/1.1 503 Loading\r\n\r\n"));
        struct hl_model model = model_at(s.port);
        int r = wait_ready(&model, &systemd, hl_clock_monotonic() + 100 * HL_USEC_PER_MSEC, &err);
        fake_model_stop(&s);
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

static void expect_requests(const char *text, int expected)
{
        unsigned requests = 0;
        int r = hl_requests_parse(text, &requests);
        if (r != (expected < 0 ? expected : 0) || (r == 0 && (int)requests != expected))
                fail_msg("%s: %d, %u", text, r, requests);
}

static void the_requests_that_a_server_counts(void **state)
{
        (void)state;
        expect_requests("", -ENOENT);
        expect_requests("# HELP llamacpp:requests_processing Number\nllamacpp:requests_processing 2\n", 2);
        expect_requests("llamacpp:requests_processing 0\nllamacpp:requests_deferred 3", 3);
        expect_requests("vllm:num_requests_running{engine=\"0\",model_name=\"a} 7\"} 1.0\n"
                        "vllm:num_requests_waiting{engine=\"0\"} 4.0 1700000000\n",
                        5);
        expect_requests("vllm:num_requests_running_total 5\nxllamacpp:requests_processing 5\n", -ENOENT);
        expect_requests("llamacpp:requests_processing\n7\n", -ENOENT); /* another line is no value */
        expect_requests("llamacpp:requests_processing NaN\n", -ENOENT);
        expect_requests("llamacpp:requests_processing -1\n", -ENOENT);
        expect_requests("vllm:num_requests_running{x=\"1\n", -ENOENT);
}

static void more_requests_than_can_be_counted_are_not_none(void **state)
{
        static const char line[] = "vllm:num_requests_running 1e6\n";
        unsigned requests = 0;
        struct hl_buf text = { 0 };
        (void)state;
        for (int i = 0; i < 4295; i++) /* 2^32 and some */
                hl_buf_adds(&text, line);
        assert_int_equal(hl_requests_parse(text.data, &requests), 0);
        assert_int_equal(requests, UINT_MAX);
        hl_buf_free(&text);
}

#define METRICS(lines) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" lines

/* connections, in_flight and moving of the kernel; what the server says; what follows. */
static void expect_busy(unsigned connections, unsigned in_flight, unsigned moving, bool silent, const char *answer,
                        unsigned expected, bool asked)
{
        const struct hl_traffic traffic = { .connections = connections, .in_flight = in_flight, .moving = moving };
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS(answer));
        unsigned requests = hl_requests_running(s.port, &traffic, silent);
        bool was_asked = s.asked > 0;
        fake_model_stop(&s);
        if (requests != expected || was_asked != asked)
                fail_msg("%u connections, %u in flight, %u moving, \"%s\": %u", connections, in_flight, moving, answer,
                         requests);
}

static void the_model_is_asked_where_the_kernel_cannot_tell(void **state)
{
        (void)state;
        const char *two = METRICS("llamacpp:requests_processing 2\n"),
                   *none = METRICS("llamacpp:requests_processing 0\n");
        expect_busy(0, 0, 0, true, two, 0, false);   /* nobody is connected */
        expect_busy(1, 0, 0, true, two, 2, true);    /* a silent stream, */
        expect_busy(1, 0, 0, true, none, 0, true);   /* or kept alive */
        expect_busy(3, 1, 0, false, none, 1, false); /* a question that waits for its answer */
        expect_busy(3, 1, 0, true, none, 0, true);   /* for too long, and nobody works on it */
        expect_busy(3, 1, 0, true, two, 2, true);
        expect_busy(3, 1, 1, true, none, 1, false);                /* bytes are bytes */
        expect_busy(3, 1, 0, true, METRICS("other 0\n"), 1, true); /* a server that publishes nothing of it */
        expect_busy(3, 1, 0, true, "HTTP/1.1 404 Not Found\r\n\r\nllamacpp:requests_processing 0\n", 1, true);
        expect_busy(1, 0, 0, true, "", 0, true);
        expect_busy(1, 1, 0, true, "…", 1, true); /* it hangs */
}

/* Its client sends no more: it may wait for its answer, or be gone. */
static void a_client_that_sends_no_more(void **state)
{
        (void)state;
        const struct hl_traffic traffic = { .connections = 1, .half_closed = 1 };
        struct fake_model s;
        fake_model_start(&s, FAKE_ANSWERS(METRICS("other 0\n")));
        assert_int_equal(hl_requests_running(s.port, &traffic, false), 1);
        assert_int_equal(hl_requests_running(s.port, &traffic, true), 0); /* for too long */
        fake_model_stop(&s);
        fake_model_start(&s, FAKE_ANSWERS(METRICS("llamacpp:requests_processing 0\n")));
        assert_int_equal(hl_requests_running(s.port, &traffic, false), 0);
        fake_model_stop(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_requests_that_a_server_counts),
                cmocka_unit_test(more_requests_than_can_be_counted_are_not_none),
                cmocka_unit_test(the_model_is_asked_where_the_kernel_cannot_tell),
                cmocka_unit_test(a_client_that_sends_no_more),
                cmocka_unit_test(statuses_are_read),
                cmocka_unit_test(what_is_not_http_is_eproto),
                cmocka_unit_test(the_request_is_a_plain_get),
                cmocka_unit_test(loading_is_said_in_a_text),
                cmocka_unit_test(nobody_listens),
                cmocka_unit_test(steps_do_not_wait),
                cmocka_unit_test(a_full_socket_is_waited_for),
                cmocka_unit_test(no_answer_in_time),
                cmocka_unit_test(states_of_models),
                cmocka_unit_test(nobody_waits_for_who_has_left),
                cmocka_unit_test(ready_is_waited_for),
                cmocka_unit_test(a_unit_that_ends_is_not_waited_for),
                cmocka_unit_test(ready_has_a_deadline),
                cmocka_unit_test(ready_without_a_port_or_a_bus),
        };
        signal(SIGPIPE, SIG_IGN);
        setenv("HL_CGROUP_ROOT", "/nonexistent", 1); /* whose the test's own servers are nobody can tell */
        return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
