/* SPDX-License-Identifier: MIT */
/* fdinfo.h - what the drivers of GPUs say of the files that a model's processes have open.
 *
 * Shape    read as root, which alone may look at the files of others, and understood as nobody of that kind. Several
 *          files may be one client of the driver, which counts once.
 * Units    bytes.
 * Errors   none: what cannot be read is not known.
 * Owner    measure_fdinfo_free().
 * Source   https://docs.kernel.org/gpu/drm-usage-stats.html: drm-resident-REGION, or drm-memory-REGION of older
 *          kernels. A region is "vram" or "gtt" of amdgpu, "local0" or "system0" of i915, "vram0", "gtt" or "system"
 *          of xe.
 * Tests    tests/doors/test_measure.py, tests/fuzz/fuzz_held.c
 */
#ifndef MODEL_MEASURE_FDINFO_H
#define MODEL_MEASURE_FDINFO_H

#include "base/buf.h"
#include "kernel/pci.h"

#include <stdbool.h>
#include <stdint.h>

#define MEASURE_CARDS_MAX 32 /* that one model uses */

struct measure_fdinfo {
        struct hl_buf text; /* of the files that are GPUs', one behind the other */
        bool has_nvidia;    /* a card of NVIDIA's is open, whose driver says nothing there */
};

struct measure_card {
        char address[HL_PCI_ADDRESS_SIZE];
        bool is_amd;
        bool has_own;        /* it has memory of its own */
        uint64_t own_bytes;  /* held in that */
        uint64_t host_bytes; /* held in the host's memory, for the card */
};

/* Of all processes of a control group. */
void measure_fdinfo_read(const char *cgroup, struct measure_fdinfo *ret_fdinfo);
void measure_fdinfo_free(struct measure_fdinfo *fdinfo);

/* The number of cards; the text is changed. */
size_t measure_fdinfo_parse(char *text, struct measure_card cards[static MEASURE_CARDS_MAX]);

/* What counts as the memory of the card: its own, and where it is part of a processor, what it has of the host's. */
uint64_t measure_card_bytes(const struct measure_card *card);

#endif
