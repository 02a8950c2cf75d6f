/* SPDX-License-Identifier: MIT */
/* bus.h - the connection to the system bus, which everything that asks systemd, logind or polkit shares.
 *
 * Shape    opened when it is first needed: a request that asks systemd nothing pays nothing.
 * Units    deadline_us is CLOCK_MONOTONIC, as from hl_clock_monotonic().
 * Errors   -ENOTCONN or so/BUSY: no bus; hl_bus_fail() maps the others.
 * Owner    hl_bus_free().
 * Process  one thread; no globals.
 * Source   sd-bus(3), org.freedesktop.systemd1(5), org.freedesktop.login1(5).
 * Tests    tests/unit/systemd/test_units.c, tests/unit/systemd/test_shutdown.c: a fake over a socketpair.
 */
#ifndef HL_SYSTEMD_BUS_H
#define HL_SYSTEMD_BUS_H

#include <stdint.h>
#include <systemd/sd-bus.h>

struct hl_err;

#define HL_BUS_CALL_TIMEOUT_US (UINT64_C(5) * 1000 * 1000) /* of one call; sd-bus would wait 25 s for a hung polkitd */

struct hl_bus {
        sd_bus *bus;    /* NULL until it is needed */
        int fd;         /* a connected socket to use instead of the system bus, for tests; -1: none */
        unsigned calls; /* made so far: what the sweep's log and tests read */
};

#define HL_BUS_INIT ((struct hl_bus){ .fd = -1 })

void hl_bus_free(struct hl_bus *bus);
void hl_bus_free_message(sd_bus_message **message); /* for HL_CLEANUP */

/* Connects, if that was not done yet, or anew where the bus has hung up. */
int hl_bus_open(struct hl_bus *bus, struct hl_err *err);

/* polkit's version, which decides what its rules can look at. */
int hl_bus_polkit_version(struct hl_bus *bus, unsigned *ret_version, struct hl_err *err);

/* The version of the running systemd: 252. */
int hl_bus_systemd_version(struct hl_bus *bus, unsigned *ret_version, struct hl_err *err);

/* The error of a wait that ends because its client has left: -ECANCELED/CANCELLED. */
int hl_fail_client_left(struct hl_err *err, const char *unit);

/* Turns a failed call into an error. `what` is a sentence's subject: "starting model@x.service". */
int hl_bus_fail(struct hl_err *err, int r, const sd_bus_error *error, const char *what);

#endif
