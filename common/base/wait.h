/* SPDX-License-Identifier: MIT */
/* wait.h - for how long something is waited for, and on whose behalf.
 *
 * Shape    a value of the caller's, handed down to whatever waits.
 * Units    deadline_us is CLOCK_MONOTONIC, as from hl_clock_monotonic().
 * Owner    client_fd stays the caller's.
 * Tests    tests/unit/systemd/test_jobs.c, tests/unit/models/test_probe.c
 */
#ifndef HL_BASE_WAIT_H
#define HL_BASE_WAIT_H

#include <stdint.h>

struct hl_wait {
        uint64_t deadline_us;
        int client_fd; /* the wait ends when this socket hangs up; -1: nobody can leave */
        /* Called once only the waiting is left: from then on the process may end with its client, and nothing is lost.
         * May be NULL. */
        void (*on_queued)(void);
};

static inline struct hl_wait hl_wait_until(uint64_t deadline_us)
{
        return (struct hl_wait){ .deadline_us = deadline_us, .client_fd = -1 };
}

#endif
