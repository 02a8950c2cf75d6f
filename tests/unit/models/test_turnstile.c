/* SPDX-License-Identifier: MIT */
/* models/turnstile: a file that is there while somebody holds it, or until its lease is over. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/turnstile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As NGINX looks. */
static bool is_there(const char *folder)
{
        return access(test_path(folder, "turnstile/m"), F_OK) == 0;
}

static void it_is_up_until_it_is_lowered(void **state)
{
        struct hl_err err = { 0 };
        int fd = -1;
        assert_false(hl_turnstile_is_up("m"));
        assert_false(is_there(*state)); /* nobody's look makes a file */
        assert_int_equal(hl_turnstile_raise("m", &fd, &err), 0);
        assert_true(hl_turnstile_is_up("m"));
        assert_true(is_there(*state));
        assert_false(hl_turnstile_is_up("other"));
        hl_turnstile_lower("m", &fd);
        assert_int_equal(fd, -1);
        assert_false(is_there(*state));
        assert_false(hl_turnstile_is_up("m"));
        hl_turnstile_lower("m", &fd);
}

static void the_last_one_removes_it(void **state)
{
        struct hl_err err = { 0 };
        int one, other;
        must(hl_turnstile_raise("m", &one, &err) == 0 && hl_turnstile_raise("m", &other, &err) == 0);
        hl_turnstile_lower("m", &one);
        assert_true(is_there(*state));
        assert_true(hl_turnstile_is_up("m"));
        hl_turnstile_lower("m", &other);
        assert_false(is_there(*state));
}

/* A child that holds it, until it is killed. */
static pid_t hold(void)
{
        int pipe_fds[2];
        must(pipe(pipe_fds) == 0);
        pid_t child = fork();
        must(child >= 0);
        if (child == 0) {
                struct hl_err err = { 0 };
                int fd;
                must(hl_turnstile_raise("m", &fd, &err) == 0 && write(pipe_fds[1], "", 1) == 1);
                for (;;)
                        pause();
        }
        close(pipe_fds[1]);
        char byte;
        must(read(pipe_fds[0], &byte, 1) == 1);
        close(pipe_fds[0]);
        return child;
}

static void end_child(pid_t child)
{
        must(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

static void it_opens_when_its_owner_has_died(void **state)
{
        pid_t child = hold();
        assert_true(hl_turnstile_is_up("m"));
        must(kill(child, SIGSTOP) == 0);
        assert_true(hl_turnstile_is_up("m")); /* it lives */
        end_child(child);
        assert_true(is_there(*state));
        assert_false(hl_turnstile_is_up("m")); /* the first one that looks */
        assert_false(is_there(*state));
}

static void who_raises_one_that_was_left_has_it(void **state)
{
        struct hl_err err = { 0 };
        int fd;
        end_child(hold());
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        assert_true(hl_turnstile_is_up("m"));
        hl_turnstile_lower("m", &fd);
        assert_false(is_there(*state));
}

/* A file that is removed while another is about to take it holds nothing up. */
static void nobody_holds_a_removed_file(void **state)
{
        struct hl_err err = { 0 };
        int removed, fd;
        must(hl_turnstile_raise("m", &removed, &err) == 0 && unlink(test_path(*state, "turnstile/m")) == 0);
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        hl_turnstile_lower("m", &removed);
        assert_true(is_there(*state));
        assert_true(hl_turnstile_is_up("m"));
        hl_turnstile_lower("m", &fd);
}

static void it_is_waited_for(void **state)
{
        (void)state;
        struct hl_err err = { 0 };
        int fd, ends[2];
        assert_int_equal(hl_turnstile_await("m", -1, 0), 0);
        must(hl_turnstile_raise("m", &fd, &err) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        assert_int_equal(hl_turnstile_await("m", ends[0], hl_clock_monotonic()), -ETIMEDOUT);
        close(ends[1]);
        assert_int_equal(hl_turnstile_await("m", ends[0], test_deadline()), -ECANCELED);
        close(ends[0]);
        hl_turnstile_lower("m", &fd);
        end_child(hold());
        assert_int_equal(hl_turnstile_await("m", -1, test_deadline()), 0);
}

static void a_lease_needs_nobody(void **state)
{
        struct hl_err err = { 0 };
        int fd;
        assert_true(hl_turnstile_lease_left("m") == 0);
        assert_int_equal(hl_turnstile_lease("m", HL_USEC_PER_MINUTE, &err), 0);
        assert_true(hl_turnstile_is_up("m"));
        assert_true(is_there(*state));
        uint64_t left_us = hl_turnstile_lease_left("m");
        assert_true(left_us > 0 && left_us <= HL_USEC_PER_MINUTE);
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        hl_turnstile_lower("m", &fd);
        assert_true(hl_turnstile_is_up("m")); /* who stops the model meanwhile takes none away */
        assert_int_equal(hl_turnstile_lease("m", 0, &err), 0);
        assert_false(is_there(*state));
        assert_true(hl_turnstile_lease_left("m") == 0);
}

static void a_lease_ends(void **state)
{
        struct hl_err err = { 0 };
        int fd;
        assert_int_equal(hl_turnstile_lease("m", HL_USEC_PER_MSEC, &err), 0);
        assert_int_equal(hl_turnstile_await("m", -1, test_deadline()), 0);
        assert_false(is_there(*state));

        assert_int_equal(hl_turnstile_lease("m", HL_USEC_INFINITY, &err), 0);
        uint64_t left_us = hl_turnstile_lease_left("m");
        assert_true(left_us > 0 && left_us <= HL_TURNSTILE_LEASE_MAX_US);
        must(hl_turnstile_raise("m", &fd, &err) == 0);
        assert_int_equal(hl_turnstile_lease("m", 0, &err), 0);
        assert_true(hl_turnstile_is_up("m")); /* somebody holds it */
        hl_turnstile_lower("m", &fd);
        assert_false(is_there(*state));
}

static void a_link_is_not_followed(void **state)
{
        struct hl_err err = { 0 };
        int fd;
        test_write(*state, "victim", "");
        must(symlink(test_path(*state, "victim"), test_path(*state, "turnstile/m")) == 0);
        assert_int_equal(hl_turnstile_raise("m", &fd, &err), -ELOOP);
        assert_false(hl_turnstile_is_up("m"));
}

static void without_a_folder_none_is_raised(void **state)
{
        struct hl_err err = { 0 };
        int fd;
        must(rmdir(test_path(*state, "turnstile")) == 0);
        assert_int_equal(hl_turnstile_raise("m", &fd, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_false(hl_turnstile_is_up("m"));
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_A_FOLDER(it_is_up_until_it_is_lowered),
                IN_A_FOLDER(the_last_one_removes_it),
                IN_A_FOLDER(it_opens_when_its_owner_has_died),
                IN_A_FOLDER(who_raises_one_that_was_left_has_it),
                IN_A_FOLDER(nobody_holds_a_removed_file),
                IN_A_FOLDER(it_is_waited_for),
                IN_A_FOLDER(a_lease_needs_nobody),
                IN_A_FOLDER(a_lease_ends),
                IN_A_FOLDER(a_link_is_not_followed),
                IN_A_FOLDER(without_a_folder_none_is_raised),
        };
        return cmocka_run_group_tests_name("turnstile", tests, NULL, NULL);
}
