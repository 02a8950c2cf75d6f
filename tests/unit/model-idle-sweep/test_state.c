/* SPDX-License-Identifier: MIT */
/* model-idle-sweep/state: what one sweep tells the next. */
#include "support.h"

#include "kernel/confine_calls.h"
#include "model-idle-sweep/state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void it_is_kept(void **state)
{
        must(setenv("RUNTIME_DIRECTORY", *state, 1) == 0);
        struct hl_sweep_state m = { .suspended_total_us = 1, .resumed_us = 2, .used_us = UINT64_MAX }, read;
        struct hl_err err = { 0 };
        hl_sweep_state_load(&read);
        assert_false(read.known);
        hl_sweep_state_add(&m.in_flight, "a.1:b");
        hl_sweep_state_add(&m.in_flight, "c");
        hl_sweep_state_add(&m.by_nginx, "d");
        m.swept_us = 77;
        assert_int_equal(hl_sweep_state_save(&m, &err), 0);
        hl_sweep_state_load(&read);
        assert_true(read.known && read.suspended_total_us == 1 && read.resumed_us == 2 && read.used_us == UINT64_MAX);
        assert_true(hl_sweep_state_has(&read.in_flight, "a.1:b") && hl_sweep_state_has(&read.in_flight, "c"));
        assert_true(hl_sweep_state_has(&read.by_nginx, "d"));
        assert_int_equal(read.swept_us, 77);
        assert_false(hl_sweep_state_has(&read.in_flight, "a") || hl_sweep_state_has(&read.kept, "c"));
        hl_sweep_state_free(&read);
        hl_sweep_state_free(&m);

        test_write(*state, "memory", "USED_US=later\nIN_FLIGHT=a\n"); /* what cannot be read is not known */
        hl_sweep_state_load(&read);
        assert_true(!read.known && read.used_us == 0 && read.in_flight.len == 0);
        must(setenv("RUNTIME_DIRECTORY", "/nonexistent", 1) == 0);
        assert_int_equal(hl_sweep_state_save(&m, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        must(unsetenv("RUNTIME_DIRECTORY") == 0);
}

/* A sweep changes no modes, and its unit's umask lets nobody else read. */
static void whoever_tries_a_sweep_by_hand_reads_it(void **state)
{
        struct stat file;
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                const struct hl_sweep_state m = { .used_us = 1 };
                struct hl_err err = { 0 };
                must(setenv("RUNTIME_DIRECTORY", *state, 1) == 0);
                must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && hl_confine_calls() == 0);
                umask(0077);
                _exit(hl_sweep_state_save(&m, &err) == 0 && umask(0) == 0077 ? 0 : 1);
        }
        must(waitpid(pid, &status, 0) == pid);
        assert_int_equal(status, 0);
        must(stat(test_path(*state, "memory"), &file) == 0);
        assert_int_equal(file.st_mode & 07777, 0644);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_is_kept, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(whoever_tries_a_sweep_by_hand_reads_it, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
