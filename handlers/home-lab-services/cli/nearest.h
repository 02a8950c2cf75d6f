/* SPDX-License-Identifier: MIT */
/* nearest.h - "did you mean …": the known word that a mistyped one is most like.
 *
 * Shape    letters that are missing, too many, wrong, or swapped with the next one count one
 *          each; a third of the word, and one at least, may be wrong.
 * Units    words longer than HL_NEAREST_MAX bytes are like none.
 * Process  pure.
 * Tests    tests/unit/home-lab-services/test_nearest.c
 */
#ifndef HL_HOME_LAB_SERVICES_CLI_NEAREST_H
#define HL_HOME_LAB_SERVICES_CLI_NEAREST_H

#include <stddef.h>

#define HL_NEAREST_MAX 128

/* One of the known words, or NULL where none is near; of equal ones the first. */
const char *hl_nearest(const char *word, const char *const *known, size_t count);

#endif
