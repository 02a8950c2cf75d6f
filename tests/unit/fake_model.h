/* SPDX-License-Identifier: MIT */
/* fake_model.h - a small model server in a thread.
 *
 * Owner    fake_model_start(), fake_model_stop().
 * Process  `requests` may be read once an answer is there; `asked` at any time.
 */
#ifndef HL_TESTS_UNIT_FAKE_MODEL_H
#define HL_TESTS_UNIT_FAKE_MODEL_H

#include "support.h"

#define FAKE_SILENT_MAX 16

/* Gives each connection the next of its answers, the last one again and again. */
struct fake_model {
        pthread_t thread;
        int listener;
        int silent[FAKE_SILENT_MAX]; /* connections that are not answered */
        unsigned silent_count;
        uint16_t port;
        const char *const *answers; /* NULL-terminated; "" closes at once; "…" says nothing, and holds up no other */
        struct hl_buf requests;
        _Atomic unsigned asked; /* requests that were answered */
};

#define FAKE_ANSWERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

void fake_model_start(struct fake_model *model, const char *const *answers);
void fake_model_stop(struct fake_model *model);

#endif
