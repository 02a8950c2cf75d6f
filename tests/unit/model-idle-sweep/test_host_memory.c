/* SPDX-License-Identifier: MIT */
/* model-idle-sweep/host_memory: what was done about the host. */
#include "support.h"

#include "base/mem.h"
#include "base/str.h"
#include "model-idle-sweep/host_memory.h"

#include <errno.h>
#include <stdlib.h>

static void it_is_kept(void **state)
{
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/memory", (char *)*state);
        const struct hl_host_memory m = { .acted_us = 4, .shutdown_at_us = UINT64_MAX };
        struct hl_host_memory read = m;
        struct hl_err err = { 0 };
        hl_host_memory_load(file, &read);
        assert_true(read.acted_us == 0 && read.shutdown_at_us == 0);
        assert_int_equal(hl_host_memory_save(file, &m, &err), 0);
        hl_host_memory_load(file, &read);
        assert_true(read.acted_us == 4 && read.shutdown_at_us == UINT64_MAX);
        test_write(*state, "memory", "ACTED_US=later\nOTHER=1\nSHUTDOWN_AT_US=7\n");
        hl_host_memory_load(file, &read);
        assert_true(read.acted_us == 0 && read.shutdown_at_us == 7);
        assert_int_equal(hl_host_memory_save("/nonexistent/memory", &m, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_is_kept, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests_name("host memory", tests, NULL, NULL);
}
