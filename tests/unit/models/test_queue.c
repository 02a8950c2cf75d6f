/* SPDX-License-Identifier: MIT */
/* models/queue: the order, over processes, and what becomes of a ticket whose owner has died. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/queue.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 50

static unsigned count_files(const char *folder)
{
        unsigned count = 0;
        DIR *dir = opendir(test_path(folder, "queue"));
        must(dir);
        for (const struct dirent *entry; (entry = readdir(dir));)
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count;
}

static void expect_queue(const struct hl_ticket *own, const char *const *models, size_t count)
{
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        size_t found = hl_queue_read(own, &queued);
        assert_int_equal(found, count);
        for (size_t i = 0; i < count; i++)
                assert_string_equal(queued[i].model, models[i]);
}

static struct hl_ticket join(const char *model)
{
        struct hl_ticket ticket = HL_TICKET_INIT;
        struct hl_err err = { 0 };
        assert_int_equal(hl_queue_join(model, hl_clock_monotonic(), &ticket, &err), 0);
        return ticket;
}

static void they_stand_in_the_order_in_which_they_came(void **state)
{
        (void)state;
        expect_queue(NULL, NULL, 0);
        struct hl_ticket b = join("b"), a = join("a:1"), again = join("b");
        expect_queue(NULL, (const char *const[]){ "b", "a:1", "b" }, 3);
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        assert_int_equal(hl_queue_read(&a, &queued), 3);
        assert_false(queued[0].is_own);
        assert_true(queued[1].is_own);
        assert_int_equal(queued[1].since_us, a.since_us);
        assert_true(queued[0].since_us < queued[1].since_us && queued[1].since_us < queued[2].since_us);
        hl_queue_leave(&b);
        expect_queue(NULL, (const char *const[]){ "a:1", "b" }, 2);
        hl_queue_leave(&a);
        hl_queue_leave(&again);
        hl_queue_leave(&again);
        expect_queue(NULL, NULL, 0);
}

static void no_two_have_one_place(void **state)
{
        struct hl_ticket tickets[MANY];
        for (size_t i = 0; i < MANY; i++)
                tickets[i] = join("m");
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        assert_int_equal(hl_queue_read(NULL, &queued), MANY);
        for (size_t i = 1; i < MANY; i++)
                assert_true(queued[i - 1].since_us < queued[i].since_us);
        for (size_t i = 0; i < MANY; i++)
                hl_queue_leave(&tickets[i]);
        assert_int_equal(count_files(*state), 0);
}

static void a_ticket_ends_with_its_process(void **state)
{
        int ready[2];
        must(pipe(ready) == 0);
        pid_t pid = fork();
        must(pid >= 0);
        if (pid == 0) {
                struct hl_ticket ticket = HL_TICKET_INIT;
                struct hl_err err = { 0 };
                bool joined =
                        hl_queue_join("m", hl_clock_monotonic(), &ticket, &err) == 0 && write(ready[1], "", 1) == 1;
                while (joined)
                        pause();
                _exit(1);
        }
        char byte;
        must(read(ready[0], &byte, 1) == 1);
        expect_queue(NULL, (const char *const[]){ "m" }, 1);
        must(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        assert_int_equal(count_files(*state), 1);
        expect_queue(NULL, NULL, 0);
        assert_int_equal(count_files(*state), 0);
        close(ready[0]);
        close(ready[1]);
}

static void what_is_no_ticket_is_let_be(void **state)
{
        test_write(*state, "queue/README", "");
        test_write(*state, "queue/00000000000000000001", "");
        test_write(*state, "queue/00000000000000000001-..", "");
        test_write(*state, "queue/00000000000000000002-m", ""); /* nobody's any more */
        expect_queue(NULL, NULL, 0);
        assert_int_equal(count_files(*state), 3);
}

static void without_its_folder_nobody_can_join(void **state)
{
        struct hl_ticket ticket = HL_TICKET_INIT;
        struct hl_err err = { 0 };
        must(rmdir(test_path(*state, "queue")) == 0);
        assert_int_equal(hl_queue_join("m", hl_clock_monotonic(), &ticket, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_int_equal(ticket.fd, -1);
        expect_queue(NULL, NULL, 0);
}

static int setup(void **state)
{
        int r = test_folder_setup(state);
        must(mkdir(test_path(*state, "queue"), 0700) == 0);
        return r;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(they_stand_in_the_order_in_which_they_came, setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(no_two_have_one_place, setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_ticket_ends_with_its_process, setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(what_is_no_ticket_is_let_be, setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(without_its_folder_nobody_can_join, setup, test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
