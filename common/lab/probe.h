/* probe.h - does a model server answer? One GET on loopback, of which only the status is read.
 *
 * Units    deadline_us is CLOCK_MONOTONIC.
 * Errors   the HTTP status, or -errno: -ECONNREFUSED: nobody listens, -ETIMEDOUT: no answer
 *          in time, -EPROTO: what answered is not HTTP.
 * Source   RFC 9112 section 4. Not libcurl: loading it costs a handler more than all else it does.
 * Tests    tests/unit/test_probe.c
 */
#ifndef HL_LAB_PROBE_H
#define HL_LAB_PROBE_H

#include <stdint.h>

int hl_probe(uint16_t port, const char *path, uint64_t deadline_us);

#endif
