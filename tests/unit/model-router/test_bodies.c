/* SPDX-License-Identifier: MIT */
/* model-router/bodies: the thread that reads them, with a reader of the test's own. */
#include "support.h"

#include "base/mem.h"
#include "model-router/bodies.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
        sd_event *event;
        struct hl_router_bodies *bodies;
        struct hl_router_request requests[3];
        unsigned given_back;
};

static int pair[2]; /* the reader waits at the first end for each body's name, of one letter; "!": there is none */

static int find(const struct hl_router_request *request, char **ret_name, struct hl_err *err)
{
        char name[2] = "";
        (void)request;
        must(read(pair[0], name, 1) == 1);
        if (*name == '!')
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_json", "no name");
        *ret_name = hl_strdup(name);
        return 0;
}

/* They come in their order: "a", none, "c". */
static void on_read(void *data, struct hl_router_request *request, const char *name, const struct hl_err *err)
{
        struct scene *s = data;
        assert_ptr_equal(request, &s->requests[s->given_back]);
        assert_int_equal(err->kind, s->given_back == 1 ? HL_ERR_INVALID : HL_ERR_NONE);
        if (s->given_back == 1)
                assert_null(name);
        else
                assert_string_equal(name, s->given_back == 0 ? "a" : "c");
        if (++s->given_back == HL_COUNT(s->requests))
                sd_event_exit(s->event, 0);
}

static void begin(struct scene *s)
{
        *s = (struct scene){ 0 };
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        must(sd_event_new(&s->event) >= 0);
        must(sd_event_add_time_relative(s->event, NULL, CLOCK_MONOTONIC, TEST_TIMEOUT_US, 0, NULL,
                                        (void *)(intptr_t)-ETIME) >= 0);
        must(hl_router_bodies_new(s->event, find, on_read, s, &s->bodies) == 0);
        for (size_t i = 0; i < HL_COUNT(s->requests); i++)
                hl_router_bodies_read(s->bodies, &s->requests[i]);
}

static void end(struct scene *s)
{
        sd_event_unref(s->event);
        close(pair[0]);
        close(pair[1]);
}

static int send_names(sd_event_source *source, void *data)
{
        (void)source;
        const struct scene *s = data;
        assert_int_equal(s->given_back, 0);
        must(write(pair[1], "a!c", 3) == 3);
        return 0;
}

/* What makes the bodies come happens in the loop, after the reader has begun to wait for them. */
static void the_loop_goes_on_while_bodies_are_read(void **state)
{
        (void)state;
        struct scene s;
        begin(&s);
        must(sd_event_add_defer(s.event, NULL, send_names, &s) >= 0);
        assert_int_equal(sd_event_loop(s.event), 0);
        hl_router_bodies_free(s.bodies);
        assert_int_equal(s.given_back, HL_COUNT(s.requests));
        end(&s);
}

static void all_are_given_back_at_the_end(void **state)
{
        (void)state;
        struct scene s;
        begin(&s);
        must(write(pair[1], "a!c", 3) == 3);
        hl_router_bodies_free(s.bodies);
        assert_int_equal(s.given_back, HL_COUNT(s.requests));
        end(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_loop_goes_on_while_bodies_are_read),
                cmocka_unit_test(all_are_given_back_at_the_end),
        };
        return cmocka_run_group_tests_name("bodies", tests, NULL, NULL);
}
