/* guard.h - what stands in front of every route: is this host meant, may this page, may
 * this peer.
 *
 * Shape    hl_guard is the policy of one request, filled by the program from its
 *          configuration; hl_guard_admit() is asked once, before the route is looked up,
 *          and gives the scope that the peer has.
 * Errors   a problem with its status: 403 for a foreign Host or Origin and for a peer
 *          without a token, 401 for a wrong token, 500 when the tokens cannot be read.
 * Source   DNS rebinding and cross-site requests: RFC 6454, W3C Fetch Metadata;
 *          Bearer tokens: RFC 6750.
 * Tests    tests/unit/test_http.c, tests/system/test_guard.py
 */
#ifndef HL_HTTP_GUARD_H
#define HL_HTTP_GUARD_H

#include "request.h"

/* Each scope includes the ones before it. */
enum hl_scope {
        HL_SCOPE_NONE,
        HL_SCOPE_READ,
        HL_SCOPE_CONTROL, /* start and stop models, report activity */
        HL_SCOPE_POWER,   /* schedule and cancel shutdowns */
};

#define HL_SCOPE_NAMES "read,control,power"

const char *hl_scope_name(enum hl_scope scope);

struct hl_guard {
        bool trust_local;              /* peers on this machine need no token, unless they ask for somebody else */
        const char *const *host_names; /* further names of this host, NULL-terminated; may be NULL */
        /* The scope of a secret, HL_SCOPE_NONE for an unknown one, or -errno. */
        int (*scope_of)(void *data, const char *secret);
        void *data;
};

/* 0 and the peer's scope, or -EINVAL and a problem. */
int hl_guard_admit(const struct hl_guard *guard, const struct hl_request *request, enum hl_scope *ret_scope,
                   struct hl_problem *ret_problem);

/* Whether a Host header means this machine: its address, a name of its own, or one of host_names. */
bool hl_guard_is_our_host(const struct hl_guard *guard, const char *host);

#endif
