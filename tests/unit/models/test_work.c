/* SPDX-License-Identifier: MIT */
/* models/work: the files of a control group, which the test writes. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/work.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define GROUP "system.slice/system-model.slice/model@m.service"
#define UNIT "model@m.service"

static int setup(void **state)
{
        test_folder_setup(state);
        HL_CLEANUP(hl_free_pointer) char *command = hl_format("mkdir -p '%s/" GROUP "'", (const char *)*state);
        must(system(command) == 0);
        setenv("HL_CGROUP_ROOT", *state, 1);
        test_write(*state, GROUP "/cpu.stat", "usage_usec 1000000\nuser_usec 900000\nsystem_usec 100000\n");
        return 0;
}

static int teardown(void **state)
{
        unsetenv("HL_CGROUP_ROOT");
        return test_folder_teardown(state);
}

static bool is_seen(const char *unit)
{
        bool seen;
        hl_work_seen(&unit, 1, &seen);
        return seen;
}

static void one_that_hangs(void **state)
{
        uint64_t began_us = hl_clock_monotonic();
        assert_false(is_seen(UNIT));
        assert_true(hl_clock_monotonic() - began_us >= HL_WORK_WINDOW_US);
        test_write(*state, GROUP "/memory.current", "4096\n");
        test_write(*state, GROUP "/io.stat", "8:0 rbytes=10 wbytes=0 rios=1 wios=0\n");
        assert_false(is_seen(UNIT));
        assert_false(is_seen("model@other.service"));
}

struct change {
        const char *folder, *file, *text;
};

static void *make(void *data)
{
        const struct change *change = data;
        must(usleep(120 * 1000) == 0);
        test_write(change->folder, change->file, change->text);
        return NULL;
}

static bool seen_while(const char *folder, const char *file, const char *before, const char *after)
{
        struct change change = { folder, file, after };
        pthread_t thread;
        test_write(folder, file, before);
        must(pthread_create(&thread, NULL, make, &change) == 0);
        bool seen = is_seen(UNIT);
        must(pthread_join(thread, NULL) == 0);
        return seen;
}

static void one_that_works(void **state)
{
        const char *cpu = GROUP "/cpu.stat", *io = GROUP "/io.stat", *memory = GROUP "/memory.current";
        uint64_t began_us = hl_clock_monotonic();
        assert_true(seen_while(*state, cpu, "usage_usec 1000\n", "usage_usec 500000\n"));
        assert_true(hl_clock_monotonic() - began_us < HL_WORK_WINDOW_US * 3 / 4);        /* as soon as it is seen */
        assert_false(seen_while(*state, cpu, "usage_usec 1000\n", "usage_usec 3000\n")); /* it turned over */
        assert_true(seen_while(*state, io, "8:0 rbytes=10 wbytes=0\n8:16 rbytes=5 wbytes=0\n",
                               "8:0 rbytes=10 wbytes=0\n8:16 rbytes=9000000 wbytes=0\n"));
        assert_true(seen_while(*state, memory, "4096\n", "94096000\n"));
        assert_false(seen_while(*state, memory, "94096000\n", "4096\n"));
}

static void many_are_looked_at_in_the_time_of_one(void **state)
{
        (void)state;
        const char *units[] = { UNIT, "model@other.service", UNIT, UNIT };
        bool seen[HL_COUNT(units)];
        uint64_t began_us = hl_clock_monotonic();
        hl_work_seen(units, HL_COUNT(units), seen);
        assert_true(hl_clock_monotonic() - began_us < 2 * HL_WORK_WINDOW_US);
        for (size_t i = 0; i < HL_COUNT(units); i++)
                assert_false(seen[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_that_hangs, setup, teardown),
                cmocka_unit_test_setup_teardown(one_that_works, setup, teardown),
                cmocka_unit_test_setup_teardown(many_are_looked_at_in_the_time_of_one, setup, teardown),
        };
        return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
