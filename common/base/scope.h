/* SPDX-License-Identifier: MIT */
/* scope.h - what a token lets its bearer do, as bits.
 *
 * Shape    a route asks for any one bit of a set; a token has the bits of its scope's name: "control" includes "read"
 *          and "use", "power" everything.
 * Tests    tests/unit/config/test_tokens.c, tests/unit/http/test_routes_access.c
 */
#ifndef HL_BASE_SCOPE_H
#define HL_BASE_SCOPE_H

enum hl_scope {
        HL_SCOPE_NONE = 0,
        HL_SCOPE_READ = 1 << 0,    /* see models, the schedule */
        HL_SCOPE_USE = 1 << 1,     /* ask models through NGINX, and list them as the OpenAI API does */
        HL_SCOPE_CONTROL = 1 << 2, /* start and stop models */
        HL_SCOPE_POWER = 1 << 3,   /* schedule and cancel shutdowns */
        /* No token has these alone; who is on this machine may. */
        HL_SCOPE_LOGS = 1 << 4,   /* read what models have said: with "read" */
        HL_SCOPE_REPORT = 1 << 5, /* report the use of a model: with "control" */
};

#define HL_SCOPE_ALL                                                                                                   \
        ((unsigned)(HL_SCOPE_READ | HL_SCOPE_USE | HL_SCOPE_CONTROL | HL_SCOPE_POWER | HL_SCOPE_LOGS | HL_SCOPE_REPORT))
#define HL_SCOPE_CHOICES "read, use, control or power" /* for sentences */

#define HL_TOKEN_PREFIX "hls_" /* every token begins with it */
#define HL_TOKEN_DIGITS 64     /* hexadecimal, behind that */

/* The bits of a token whose scope has this name; HL_SCOPE_NONE where there is no such scope. */
unsigned hl_scope_bits(const char *name);

/* The name of the scope that has these bits, or of the greatest that is among them; "none". */
const char *hl_scope_name(unsigned bits);

#endif
