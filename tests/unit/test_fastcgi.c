/* The FastCGI door's life: it ends when idle, and after SIGTERM answers what it has taken. (What it answers is tested
 * with the built programs, in tests/doors/test_fastcgi.py.) */
#include "base/clock.h"
#include "base/mem.h"
#include "doors/fastcgi.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int begun[2], go_on[2]; /* the answer says that it has begun, and waits until it may go on */

static void answer(const void *app, const struct hl_request *request, struct hl_response *response)
{
        char byte = 'x';
        (void)app;
        (void)request;
        if (write(begun[1], &byte, 1) != 1 || read(go_on[0], &byte, 1) != 1)
                _exit(1);
        hl_response_json(response, 200, hl_json_new());
}

struct place {
        struct sockaddr_un address;
        socklen_t len;
};

static int listen_on(struct place *place)
{
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        *place = (struct place){ .address.sun_family = AF_UNIX, .len = sizeof(place->address) };
        assert_int_equal(bind(fd, (struct sockaddr *)&place->address, sizeof(sa_family_t)), 0); /* autobind: unix(7) */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&place->address, &place->len), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

static pid_t start_worker(int listen_fd, uint64_t idle_us)
{
        const struct hl_fastcgi_limits limits = { .idle_us = idle_us, .receive_us = HL_USEC_PER_SEC, .threads_max = 4 };
        const struct hl_door door = { .name = "test", .answer = answer };
        pid_t pid = fork();
        if (pid == 0)
                _exit(hl_fastcgi_serve(listen_fd, &limits, &door) == 0 ? 0 : 1);
        return pid;
}

static void ended_well(pid_t pid)
{
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void ends_when_idle(void **state)
{
        (void)state;
        struct place place;
        HL_CLEANUP(hl_close_fd) int fd = listen_on(&place);
        ended_well(start_worker(fd, 50 * HL_USEC_PER_MSEC));
}

/* No parameters, no body: FastCGI 1.0, section 3. */
static const unsigned char request_records[] = {
        1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, /* BEGIN_REQUEST: responder, close afterwards */
        1, 4, 0, 1, 0, 0, 0, 0,                         /* the end of the parameters */
        1, 5, 0, 1, 0, 0, 0, 0,                         /* the end of the body */
};

static void sigterm_answers_what_was_taken(void **state)
{
        (void)state;
        struct place place;
        char bytes[4096] = "";
        HL_CLEANUP(hl_close_fd) int fd = listen_on(&place);
        HL_CLEANUP(hl_close_fd) int client = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(pipe(begun), 0);
        assert_int_equal(pipe(go_on), 0);
        pid_t pid = start_worker(fd, 60 * HL_USEC_PER_SEC);

        assert_int_equal(connect(client, (struct sockaddr *)&place.address, place.len), 0);
        assert_int_equal(write(client, request_records, sizeof(request_records)), sizeof(request_records));
        assert_int_equal(read(begun[0], bytes, 1), 1);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(write(go_on[1], "x", 1), 1);

        size_t len = 0;
        for (ssize_t n = 1; n > 0; len += (size_t)n)
                n = read(client, bytes + len, sizeof(bytes) - len);
        assert_non_null(memmem(bytes, len, "Status: 200 OK", strlen("Status: 200 OK")));
        ended_well(pid);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ends_when_idle),
                cmocka_unit_test(sigterm_answers_what_was_taken),
        };
        return cmocka_run_group_tests_name("fastcgi", tests, NULL, NULL);
}
