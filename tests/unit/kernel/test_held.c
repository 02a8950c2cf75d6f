/* SPDX-License-Identifier: MIT */
/* kernel/held: what a control group holds, by the texts of the kernel. */
#include "support.h"

#include "base/mem.h"
#include "kernel/held.h"

#include <string.h>

static void memory_is_without_what_nobody_maps(void **state)
{
        (void)state;
        static const char stat[] = "anon 100\nfile 900\nshmem 200\nfile_mapped 350\nfile_dirty 7\ninactive_anon 200\n"
                                   "inactive_file 500\nactive_file 200\nunevictable 0\n";
        assert_int_equal(hl_held_parse_memory("1000\n", stat), 1000 - (700 - 150));
        assert_int_equal(hl_held_parse_memory("1000\n", "inactive_file 300\nworkingset_refault_file 9\n"), 700);
        assert_int_equal(hl_held_parse_memory("1000\n", "active_file 100\nfile_mapped 5000\n"), 1000);
        assert_int_equal(hl_held_parse_memory("1000\n", "active_file 2000\n"), 0);
        assert_int_equal(hl_held_parse_memory("1000\n", ""), 1000);
        assert_int_equal(hl_held_parse_memory("max\n", "active_file 100\n"), 0);
        assert_int_equal(hl_held_parse_memory("", "inactive_file\nactive_file x\n"), 0);
}

static void note(void *data, const char *address, uint64_t bytes)
{
        hl_buf_addf(data, "%s=%lu ", address, (unsigned long)bytes);
}

static void a_cards_own_memory_is_told(void **state)
{
        (void)state;
        HL_CLEANUP(hl_buf_free) struct hl_buf told = { 0 };
        char text[] = "drm/0000:03:00.0/vram0 12550144\ndrm/0000:03:00.0/stolen 8650752\ndrm/0000:0a:00.0/vram 4096\n"
                      "drm/0000:0b:00.0/vram0 0\ndrm/card0/vram0 1\ndrm/0000:0c:00.0 1\ndrm/0000:0c:00.0/vram0 -1\n"
                      "drm/0000:0c:00.0/vram0 99999999999999999999\nvram0 3\n\nodd";
        hl_held_parse_dmem(text, note, &told);
        assert_string_equal(told.data, "0000:03:00.0=12550144 0000:0a:00.0=4096 ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(memory_is_without_what_nobody_maps),
                cmocka_unit_test(a_cards_own_memory_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
