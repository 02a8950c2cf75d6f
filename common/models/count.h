/* SPDX-License-Identifier: MIT */
/* count.h - how often something happened to each model, since the host was started.
 *
 * Shape    the length of the file /run/home-lab-services/evicted/NAME, or held/NAME (HL_EVICTED_DIRECTORY and
 *          HL_HELD_DIRECTORY in the environment name other folders): one byte each time, which several processes may
 *          add at once.
 * Errors   none: it is a number for people, and nothing hangs on it.
 * Tests    tests/unit/models/test_count.c
 */
#ifndef HL_MODELS_COUNT_H
#define HL_MODELS_COUNT_H

#include "base/listing.h"

#include <stdint.h>

enum hl_counted {
        HL_COUNTED_EVICTED, /* it had to make room for another one */
        HL_COUNTED_HELD,    /* a request was held until it was ready */
        HL_COUNTED,
};

void hl_count_add(enum hl_counted what, const char *model);
uint64_t hl_count_of(enum hl_counted what, const char *model);
struct hl_listing hl_count_list(enum hl_counted what); /* the models that may have one */

#endif
