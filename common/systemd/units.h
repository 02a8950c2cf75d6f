/* SPDX-License-Identifier: MIT */
/* units.h - look at systemd units over D-Bus. What changes them is in jobs.h.
 *
 * Shape    states and details are copies of what systemd said at one instant.
 * Units    *_us of a detail are CLOCK_REALTIME, 0 for never,
 *          unless the name says monotonic.
 * Errors   BUSY and INTERNAL as in bus.h.
 * Owner    the bus is the caller's; results are by value.
 * Process  no logging, no globals, no threads.
 * Source   org.freedesktop.systemd1(5): Manager.ListUnitsByNames, Manager.ListUnitsByPatterns,
 *          org.freedesktop.DBus.Properties.
 * Tests    tests/unit/systemd/test_units.c
 */
#ifndef HL_SYSTEMD_UNITS_H
#define HL_SYSTEMD_UNITS_H

#include "base/buf.h"
#include "bus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hl_unit_state {
        HL_UNIT_INACTIVE,
        HL_UNIT_STARTING, /* "activating" */
        HL_UNIT_ACTIVE,   /* "active", "reloading", "refreshing" */
        HL_UNIT_STOPPING, /* "deactivating" */
        HL_UNIT_FAILED,
};

/* One call, however many units. ret_states has an item for each name; unknown units are inactive. systemd reads the
 * files of those that it has not loaded, each time. */
int hl_units_states(struct hl_bus *bus, const char *const *names, size_t count, enum hl_unit_state *ret_states,
                    struct hl_err *err);
int hl_unit_state_of(struct hl_bus *bus, const char *name, enum hl_unit_state *ret_state, struct hl_err *err);

/* sub: systemd's own word for it, such as "running", "condition" or "auto-restart". */
typedef void hl_unit_fn(void *data, const char *name, enum hl_unit_state active, const char *sub);

/* Tells each unit that systemd has loaded and whose name fits the pattern: "model@*.service". Each that runs or has
 * failed is among them. Unlike hl_units_states() this loads none, so it costs nothing for units that nobody uses. */
int hl_units_each_loaded(struct hl_bus *bus, const char *pattern, hl_unit_fn *each, void *data, struct hl_err *err);

/* When a running unit was started, CLOCK_REALTIME, without a call of the bus: systemd leaves a mark for the journal
 * when it starts a unit (in the folder HL_STARTED_DIRECTORY, where the environment has that). 0: not known. The mark is
 * a hint: ask hl_units_active_since() before anything is decided by it. */
uint64_t hl_unit_start_hint(const char *name);
const char *hl_unit_start_folder(void); /* of these marks */

/* When each unit became active, CLOCK_MONOTONIC; 0 for never. One round of calls in a pipeline: for active units
 * only. */
int hl_units_active_since(struct hl_bus *bus, const char *const *names, size_t count, uint64_t *ret_monotonic_us,
                          struct hl_err *err);

/* The same of when each unit began to start. */
int hl_units_begun_at(struct hl_bus *bus, const char *const *names, size_t count, uint64_t *ret_monotonic_us,
                      struct hl_err *err);

/* The kernel's number of a unit's control group; 0: the unit has none, or the host has no unified hierarchy. */
int hl_units_cgroup(struct hl_bus *bus, const char *name, uint64_t *ret_cgroup, struct hl_err *err);

#define HL_UNIT_RESULT_SIZE 64
#define HL_UNIT_INVOCATION_SIZE 33
#define HL_UNIT_UNKNOWN UINT64_MAX /* not accounted */

struct hl_unit_detail {
        enum hl_unit_state active;
        bool found;        /* there is a unit file */
        uint64_t since_us; /* when its state last changed */
        uint64_t active_since_monotonic_us;
        uint32_t main_pid;     /* 0: none */
        uint64_t memory_bytes; /* or HL_UNIT_UNKNOWN */
        uint64_t cpu_ns;       /* or HL_UNIT_UNKNOWN */
        uint64_t cgroup;       /* as of hl_units_cgroup() */
        uint32_t restarts;
        int32_t exit_code;                        /* as in waitid(2): CLD_EXITED and so on; 0: it never ended */
        int32_t exit_status;                      /* of the main process that ended last */
        char result[HL_UNIT_RESULT_SIZE];         /* "success", "exit-code", "signal", "timeout", … */
        char invocation[HL_UNIT_INVOCATION_SIZE]; /* of its last start, as the journal has it; "": not known any more */
};

int hl_units_detail(struct hl_bus *bus, const char *name, struct hl_unit_detail *ret_detail, struct hl_err *err);

/* Adds where a socket unit listens: "127.0.0.1:5001, 192.168.1.10:5001". */
int hl_socket_addresses(struct hl_bus *bus, const char *name, struct hl_buf *out, struct hl_err *err);

/* When a timer unit elapses next, CLOCK_MONOTONIC; 0: it does not. */
int hl_units_timer_next(struct hl_bus *bus, const char *name, uint64_t *ret_monotonic_us, struct hl_err *err);

/* What a service has said of itself in its last run; "": nothing. free() */
int hl_units_status_text(struct hl_bus *bus, const char *name, char **ret_text, struct hl_err *err);

/* With which status a service's main process ended last: one property, where a detail's hundreds are not wanted. */
int hl_units_exit_status(struct hl_bus *bus, const char *name, int *ret_status, struct hl_err *err);

/* How a unit ended, for people: "exit-code, status 3". free() */
char *hl_units_describe(const struct hl_unit_detail *detail);

/* The error of a unit that ended while it was being waited for: -EIO/UPSTREAM with its result. */
int hl_fail_unit_ended(struct hl_bus *bus, const char *name, struct hl_err *err);

#endif
