/* SPDX-License-Identifier: MIT */
/* systemd/socket_file: whether a socket's file is there, with a systemd of the test's own. */
#include "fake_bus.h"

#include "base/mem.h"
#include "systemd/socket_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *address; /* where the socket listens */

static int answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        if (strcmp(member, "Get") == 0)
                return sd_bus_reply_method_return(call, "v", "a(ss)", 1, "Stream", address);
        return fake_systemd_answer(fake, call, member);
}

static int check(struct fake_host *host, const char *unit, const char *listens)
{
        address = listens;
        host->fake.answer = answer;
        host->err = (struct hl_err){ 0 };
        return hl_socket_file_check(&host->bus, unit, &host->err);
}

static void a_file_that_is_gone_is_told(void **state)
{
        struct fake_host *host = *state;
        assert_int_equal(check(host, "x@active-1.socket", "/dev/null"), 0);
        assert_int_equal(check(host, "x@active-1.socket", "/nonexistent/x.sock"), -ENOENT);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
        assert_string_equal(host->err.message,
                            "x@active-1.socket: its file /nonexistent/x.sock is gone, so NGINX cannot reach it: "
                            "systemctl restart x@active-1.socket");
}

static void nobody_is_asked_about_a_file_in_its_place(void **state)
{
        struct fake_host *host = *state;
        HL_CLEANUP(hl_free_pointer) char *folder = hl_strdup("build/sockets.XXXXXX");
        must(mkdtemp(folder));
        HL_CLEANUP(hl_free_pointer) char *path = realpath(folder, NULL);
        setenv("HL_SOCKETS_DIRECTORY", path, 1);
        test_write(path, "x@active-1.sock", "");
        unsigned before = host->bus.calls;
        assert_int_equal(check(host, "x@active-1.socket", "/nonexistent/x.sock"), 0);
        assert_int_equal(check(host, "x@active-1-fastcgi.socket", "/nonexistent/x.sock"), 0);
        assert_int_equal(host->bus.calls, before);
        must(unlink(test_path(path, "x@active-1.sock")) == 0);
        assert_int_equal(check(host, "x@active-1.socket", "/nonexistent/x.sock"), -ENOENT);
        unsetenv("HL_SOCKETS_DIRECTORY");
        must(rmdir(path) == 0);
}

static void other_sockets_have_none(void **state)
{
        struct fake_host *host = *state;
        assert_int_equal(check(host, "x@active-1.socket", "127.0.0.1:5001"), 0);
        assert_int_equal(check(host, "x@inactive-1.socket", "/nonexistent/x.sock"), 0); /* it is meant to be closed */
}

static void where_systemd_does_not_say_nothing_is_known(void **state)
{
        struct fake_host *host = *state;
        host->systemd.list_error = SD_BUS_ERROR_NO_REPLY;
        assert_int_equal(check(host, "x@active-1.socket", "/dev/null"), 0); /* whether it is active does not matter */
        int r = check(host, "x@active-1.socket", "/nonexistent/x.sock");
        assert_true(r < 0 && r != -ENOENT);
        assert_int_equal(host->err.kind, HL_ERR_BUSY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ON_FAKE_HOST(a_file_that_is_gone_is_told),
                ON_FAKE_HOST(nobody_is_asked_about_a_file_in_its_place),
                ON_FAKE_HOST(other_sockets_have_none),
                ON_FAKE_HOST(where_systemd_does_not_say_nothing_is_known),
        };
        return cmocka_run_group_tests_name("socket_file", tests, NULL, NULL);
}
