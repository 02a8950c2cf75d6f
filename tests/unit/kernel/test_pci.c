/* SPDX-License-Identifier: MIT */
/* kernel/pci: which card has which number, and which one sleeps, in a tree of the test's own. */
#include "support.h"

#include "base/mem.h"
#include "kernel/pci.h"

#include <stdlib.h>

static int setup(void **state)
{
        static const char *const folders[] = { "drivers/amdgpu/0000:0a:00.0", "drivers/amdgpu/0000:03:00.0",
                                               "drivers/amdgpu/module",       "drivers/nvidia/0000:01:00.0",
                                               "drivers/xe/0000:05:00.0",     "drivers/i915/0000:00:02.0",
                                               "devices/0000:01:00.0/power",  "devices/0000:03:00.0" };
        test_folder_setup(state);
        setenv("HL_SYS_ROOT", *state, 1);
        for (size_t i = 0; i < HL_COUNT(folders); i++) {
                HL_CLEANUP(hl_free_pointer)
                char *command = hl_format("mkdir -p '%s/bus/pci/%s'", (char *)*state, folders[i]);
                must(system(command) == 0);
        }
        return 0;
}

static int teardown(void **state)
{
        unsetenv("HL_SYS_ROOT");
        return test_folder_teardown(state);
}

static void an_address_has_one_spelling(void **state)
{
        (void)state;
        static const char *const wrong[] = { "",
                                             "0000:03:00",
                                             "0000:03:00.8",
                                             "0000:03:00.00",
                                             "000:03:00.0",
                                             "0000:0A:00.0",
                                             "0000.03:00.0",
                                             "00000:03:00.0",
                                             "0000:03:00.",
                                             "nvidia" };
        assert_true(hl_pci_is_address("0000:03:00.0") && hl_pci_is_address("10de:ff:1f.7"));
        for (size_t i = 0; i < HL_COUNT(wrong); i++)
                assert_false(hl_pci_is_address(wrong[i]));
}

static void cards_are_counted_by_their_maker(void **state)
{
        (void)state;
        assert_int_equal(hl_pci_gpu_number("0000:03:00.0"), 0);
        assert_int_equal(hl_pci_gpu_number("0000:0a:00.0"), 1);
        assert_int_equal(hl_pci_gpu_number("0000:01:00.0"), 0);
        assert_int_equal(hl_pci_gpu_number("0000:00:02.0"), 0);
        assert_int_equal(hl_pci_gpu_number("0000:05:00.0"), 1);
        assert_int_equal(hl_pci_gpu_number("0000:06:00.0"), -1);
}

static void whether_a_card_sleeps_is_known(void **state)
{
        static const char status[] = "bus/pci/devices/0000:01:00.0/power/runtime_status";
        assert_false(hl_pci_nvidia_sleeps()); /* kernels without power management */
        test_write(*state, status, "active\n");
        assert_false(hl_pci_nvidia_sleeps());
        test_write(*state, status, "suspended\n");
        assert_true(hl_pci_nvidia_sleeps());
        test_write(*state, status, "unsupported\n");
        assert_false(hl_pci_nvidia_sleeps());
}

static void a_processor_with_graphics_is_known(void **state)
{
        static const char metrics[] = "bus/pci/devices/0000:03:00.0/gpu_metrics";
        assert_false(hl_pci_amd_is_apu("0000:03:00.0"));
        test_write(*state, metrics, "x\1");
        assert_false(hl_pci_amd_is_apu("0000:03:00.0"));
        test_write(*state, metrics, "x\1\1\3");
        assert_false(hl_pci_amd_is_apu("0000:03:00.0"));
        test_write(*state, metrics, "x\1\2\3");
        assert_true(hl_pci_amd_is_apu("0000:03:00.0"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_has_one_spelling),
                cmocka_unit_test_setup_teardown(cards_are_counted_by_their_maker, setup, teardown),
                cmocka_unit_test_setup_teardown(whether_a_card_sleeps_is_known, setup, teardown),
                cmocka_unit_test_setup_teardown(a_processor_with_graphics_is_known, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
