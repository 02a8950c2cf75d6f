/* SPDX-License-Identifier: MIT */
/* queue.h - who waits for room, or is on its way, in the order in which they came: over all processes.
 *
 * Shape    a ticket is a file in /run/home-lab-services/queue (HL_QUEUE_DIRECTORY in the environment names another
 *          folder) whose name has the time and the model. Its owner has it locked, so the kernel ends it with him,
 *          however he ends; whoever looks removes it then. It is there locked, or not at all.
 * Units    *_us are CLOCK_MONOTONIC.
 * Errors   -errno/INTERNAL: the folder is missing or not ours.
 * Owner    hl_queue_leave(). hl_queue_read(): *ret_queued, free().
 * Process  nothing here waits. The folder is its user's alone, so nobody else can lock what is in it.
 * Tests    tests/unit/models/test_queue.c, tests/system/test_evictions.py
 */
#ifndef HL_MODELS_QUEUE_H
#define HL_MODELS_QUEUE_H

#include "capacity.h"

#define HL_QUEUE_FOLDER "/run/home-lab-services/queue"

/* Where tickets are. */
const char *hl_queue_folder(void);

struct hl_ticket {
        int fd; /* -1: none */
        uint64_t since_us;
        char *path;
};

#define HL_TICKET_INIT ((struct hl_ticket){ .fd = -1 })

/* Names come from the catalogue. since_us: when he came, which is his place. */
int hl_queue_join(const char *model, uint64_t since_us, struct hl_ticket *ret_ticket, struct hl_err *err);

/* Of none nothing is done. */
void hl_queue_leave(struct hl_ticket *ticket);

struct hl_queued {
        uint64_t since_us;
        char model[HL_MODEL_NAME_MAX + 1];
        bool is_own; /* the ticket that was asked with */
};

/* The first come first. own: NULL, or the ticket of who asks. A folder that cannot be read has nobody in it. */
size_t hl_queue_read(const struct hl_ticket *own, struct hl_queued **ret_queued);

/* Those of the catalogue's models that wait still: one that runs has its room. */
size_t hl_queue_read_waiting(const struct hl_catalog *catalog, const struct hl_ledger *ledger,
                             struct hl_queued **ret_queued);

#endif
