/* SPDX-License-Identifier: MIT */
/* measured.h - what a model has really used, beside what its file claims.
 *
 * Shape    STATE_DIRECTORY/measured/NAME: a line for each resource, "gpu 0 19327352832", written when the model has
 *          become ready and when it is stopped, and "to the end" once it was the latter. What it used most counts, of
 *          all its runs since its file was changed. What it uses right now the kernel tells: the host's memory, and a
 *          GPU's only where a controller counts that (dmem).
 * Units    bytes, with a place for each resource, as in claim.h; 0: nothing, or not known. at_us is CLOCK_REALTIME.
 * Errors   none: what cannot be written down is not known.
 * Tests    tests/unit/models/test_measured.c, tests/fuzz/fuzz_held.c
 */
#ifndef HL_MODELS_MEASURED_H
#define HL_MODELS_MEASURED_H

#include "config/catalog.h"

struct hl_measured {
        uint64_t bytes[HL_RESOURCES];
        uint64_t at_us; /* when it was measured that it is so much; 0: it never was */
        bool to_end;    /* also right before a stop: of one that has just become ready more is to come */
};

struct hl_measured hl_measured_of(const struct hl_model *model);
void hl_measured_record(const struct hl_model *model, const uint64_t bytes[static HL_RESOURCES], bool is_end);

/* Of the processes of a control group, NULL: none. */
struct hl_measured hl_measured_now(const char *cgroup);

/* Adds what is held of the card with this PCI address; one that no GPU has counts for nothing. */
void hl_measured_add(struct hl_measured *measured, const char *address, uint64_t bytes);

/* Of the file's text, which is changed. Whatever it says, at_us stays. */
void hl_measured_parse(char *text, struct hl_measured *measured);

#endif
