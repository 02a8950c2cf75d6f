/* SPDX-License-Identifier: MIT */
/* models/ask: questions to small model servers, without waiting. */
#include "fake_model.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "models/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* The next answer. */
static int next_answer(struct hl_ask *ask, uint64_t *ret_asked_us)
{
        uint64_t again_us, deadline_us = test_deadline();
        int status;
        while ((status = hl_ask_step(ask, ret_asked_us, &again_us)) == -EAGAIN) {
                must(hl_clock_monotonic() < deadline_us);
                hl_wait_fd(ask->epoll, POLLIN, again_us);
        }
        return status;
}

static void one_question_after_another(void **state)
{
        (void)state;
        struct fake_model s;
        struct hl_ask ask;
        uint64_t asked_us, before_us = hl_clock_monotonic(), last_us = 0;
        fake_model_start(&s, FAKE_ANSWERS("", "HTTP/1.1 503 Loading\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"));
        assert_int_equal(hl_ask_begin(&ask, s.port, "/health"), 0);
        static const int expected[] = { -EPROTO, 503, 200 };
        for (size_t i = 0; i < HL_COUNT(expected); i++) {
                assert_int_equal(next_answer(&ask, &asked_us), expected[i]);
                assert_true(asked_us >= before_us);
                assert_true(asked_us >= last_us + (i > 0 ? HL_ASK_FIRST_PAUSE_US : 0));
                last_us = asked_us;
        }
        hl_ask_end(&ask);
        assert_int_equal(ask.epoll, -1);
        fake_model_stop(&s);
}

static void nobody_listens(void **state)
{
        (void)state;
        struct hl_ask ask;
        uint64_t asked_us;
        uint16_t port;
        close(test_listen(&port));
        assert_int_equal(hl_ask_begin(&ask, port, "/"), 0);
        for (int i = 0; i < 5; i++)
                assert_int_equal(next_answer(&ask, &asked_us), -ECONNREFUSED);
        hl_ask_end(&ask);
}

/* What is asked too late is a small part of what was waited. */
static void pauses_grow_with_the_wait(void **state)
{
        (void)state;
        static const struct {
                uint64_t waited_us, pause_us;
        } cases[] = { { 0, HL_ASK_FIRST_PAUSE_US },
                      { HL_USEC_PER_SEC, HL_USEC_PER_SEC / HL_ASK_PAUSE_PART },
                      { HL_USEC_PER_MINUTE, HL_ASK_LAST_PAUSE_US } };
        uint64_t asked_us, again_us;
        uint16_t port;
        close(test_listen(&port));
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_ask ask;
                assert_int_equal(hl_ask_begin(&ask, port, "/"), 0);
                ask.begun_us -= cases[i].waited_us;
                while (hl_ask_step(&ask, &asked_us, &again_us) == -EAGAIN)
                        hl_wait_fd(ask.epoll, POLLIN, test_deadline());
                assert_true(again_us >= asked_us + cases[i].pause_us);
                assert_true(again_us <= hl_clock_monotonic() + HL_ASK_LAST_PAUSE_US);
                hl_ask_end(&ask);
        }
}

/* Slower than one's patience: the first question is kept, whatever comes of the second. */
static void a_slow_answer_is_waited_for(void **state)
{
        (void)state;
        struct hl_ask ask;
        uint64_t asked_us = 0, again_us, began_us = hl_clock_monotonic();
        uint16_t port;
        char bytes[512];
        static const char ready[] = "HTTP/1.1 200 OK\r\n\r\n";
        HL_CLEANUP(hl_close_fd) int listener = test_listen(&port);
        assert_int_equal(hl_ask_begin(&ask, port, "/health"), 0);
        assert_int_equal(hl_ask_step(&ask, &asked_us, &again_us), -EAGAIN);
        HL_CLEANUP(hl_close_fd) int first = accept(listener, NULL, NULL);
        must(read(first, bytes, sizeof(bytes)) > 0);
        assert_true(again_us >= began_us + HL_ASK_PATIENCE_US);
        assert_int_equal(hl_wait_fd(ask.epoll, POLLIN, again_us), 0);

        assert_int_equal(hl_ask_step(&ask, &asked_us, &again_us), -EAGAIN); /* asks once more beside it */
        assert_int_equal(hl_wait_fd(listener, POLLIN, test_deadline()), 1);
        HL_CLEANUP(hl_close_fd) int second = accept(listener, NULL, NULL);
        must(write(first, ready, sizeof(ready) - 1) > 0 && shutdown(first, SHUT_WR) == 0);
        assert_int_equal(next_answer(&ask, &asked_us), 200);
        assert_true(asked_us < began_us + HL_ASK_PATIENCE_US / 2);
        must(write(second, ready, sizeof(ready) - 1) > 0 && shutdown(second, SHUT_WR) == 0);
        assert_int_equal(next_answer(&ask, &asked_us), 200);
        hl_ask_end(&ask);
}

/* Its head alone: what does not come is not waited for. */
static void a_text_that_stays_away(void **state)
{
        (void)state;
        struct hl_ask ask;
        uint64_t asked_us, again_us;
        uint16_t port;
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        HL_CLEANUP(hl_close_fd) int listener = test_listen(&port);
        assert_int_equal(hl_ask_begin(&ask, port, "/"), 0);
        assert_int_equal(hl_ask_step(&ask, &asked_us, &again_us), -EAGAIN);
        HL_CLEANUP(hl_close_fd) int fd = accept(listener, NULL, NULL);
        must(write(fd, head, sizeof(head) - 1) > 0);
        uint64_t began_us = hl_clock_monotonic();
        assert_int_equal(next_answer(&ask, &asked_us), 200);
        assert_true(hl_clock_monotonic() - began_us < HL_ASK_PATIENCE_US);
        hl_ask_end(&ask);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_question_after_another), cmocka_unit_test(nobody_listens),
                cmocka_unit_test(pauses_grow_with_the_wait),  cmocka_unit_test(a_slow_answer_is_waited_for),
                cmocka_unit_test(a_text_that_stays_away),
        };
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
