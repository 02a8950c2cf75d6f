/* SPDX-License-Identifier: MIT */
/* clock.h - instants and durations, with their unit and clock in the name.
 *
 * Units    every number is microseconds. Realtime ones count from 1970-01-01 UTC.
 * Errors   parsers return 0 or -EINVAL / -ERANGE; outputs untouched on failure.
 * Source   RFC 3339; time spans as in systemd.time(7).
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_CLOCK_H
#define HL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define HL_USEC_PER_MSEC UINT64_C(1000)
#define HL_USEC_PER_SEC UINT64_C(1000000)
#define HL_USEC_PER_MINUTE (60 * HL_USEC_PER_SEC)
#define HL_USEC_INFINITY UINT64_MAX /* a duration that does not end, an age of what never was */

uint64_t hl_clock_monotonic(void); /* stands still while the host is suspended */
uint64_t hl_clock_realtime(void);
uint64_t hl_clock_boottime(void); /* since boot, with the time suspended */
/* When that was by CLOCK_MONOTONIC, as both clocks are now; an instant to come is now. */
uint64_t hl_clock_monotonic_of(uint64_t realtime_us);
uint64_t hl_timespec_us(struct timespec t);
struct timespec hl_timespec_of(uint64_t us);

/* a less b, at least 0: a span between instants that may have changed places. */
static inline uint64_t hl_us_minus(uint64_t a_us, uint64_t b_us)
{
        return a_us > b_us ? a_us - b_us : 0;
}

/* "2026-01-31T23:00:00+01:00": local time, whole seconds. buffer: HL_RFC3339_SIZE bytes. Returns it. */
#define HL_RFC3339_SIZE 32
char *hl_format_rfc3339(uint64_t realtime_us, char *buffer);

/* An offset ("Z", "+01:00") is required: a time without one means different instants to different people. */
int hl_parse_rfc3339(const char *text, uint64_t *ret_realtime_us);

/* The same for what people and their programs write: without an offset it is this host's local time, and seconds may be
 * left out ("2026-01-31 23:00"); an offset may be "+0100" or "+01", with blanks before it; a fraction may begin with a
 * comma; and blanks may stand around it all. Where clocks are put back and a local time comes twice, it is the later
 * one; one that never comes, because they are put forward, is -ERANGE. */
int hl_parse_time(const char *text, uint64_t *ret_realtime_us);

/* For people: "3d 2h", "3h 05min", "12min 40s", "8s"; "-" for one that does not end (UINT64_MAX).
 * buffer: HL_SPAN_SIZE bytes. Returns it. */
#define HL_SPAN_SIZE 32
char *hl_format_span(uint64_t us, char *buffer);

/* "30min", "1h 30min", "90" (seconds), "500ms". Not negative. */
int hl_parse_timespan(const char *text, uint64_t *ret_us);

/* How long a program waits for more to do before it ends: HL_IDLE_SECONDS in the environment, a time span of at most a
 * day; default_us where that says nothing, or nothing that makes sense. */
#define HL_IDLE_MAX_US (24 * 60 * HL_USEC_PER_MINUTE)
uint64_t hl_idle_from_env(uint64_t default_us);

#endif
