/* SPDX-License-Identifier: MIT */
/* held.h - what memory does a control group hold, of the host and of its GPUs, as far as the kernel tells everybody?
 *
 * Shape    the host's memory is what would come back if the processes ended: memory.current without the page cache that
 *          nobody maps. Weights that are mapped count, and a file that was only read does not.
 * Units    bytes; 0: nothing, or not known.
 * Errors   none: what cannot be read is not known.
 * Process  the parsers are pure functions of text that the kernel has written.
 * Source   https://docs.kernel.org/admin-guide/cgroup-v2.html: memory.current, memory.stat; dmem.current (Linux 6.14),
 *          whose regions are "drm/0000:03:00.0/vram0", and which few hosts have enabled.
 * Tests    tests/unit/kernel/test_held.c, tests/fuzz/fuzz_held.c
 */
#ifndef HL_KERNEL_HELD_H
#define HL_KERNEL_HELD_H

#include <stdint.h>

typedef void hl_held_card_fn(void *data, const char *address, uint64_t bytes);

uint64_t hl_held_memory(const char *cgroup);
/* Tells what is held of each region in a card's own memory. address is as in pci.h. */
void hl_held_of_cards(const char *cgroup, hl_held_card_fn *each, void *data);

/* The same of the files' texts, which the latter changes. */
uint64_t hl_held_parse_memory(const char *current, const char *stat);
void hl_held_parse_dmem(char *text, hl_held_card_fn *each, void *data);

#endif
