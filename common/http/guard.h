/* SPDX-License-Identifier: MIT */
/* guard.h - what stands in front of every route: is this host meant, may this page, may this peer.
 *
 * Shape    hl_guard is the policy of one request, filled by the program from its configuration. First the host and the
 *          page are judged, then the peer, which gives the bits of its scope; a page's preflight (cors.h) is answered
 *          between the two, because browsers send no token with it.
 * Errors   a problem with its status: 403 for a foreign Host or Origin, and for a peer without a token (401 below /v1,
 *          as that API's clients know it), 401 for a wrong token, 500 when the tokens cannot be read.
 * Source   DNS rebinding and cross-site requests: RFC 6454, W3C Fetch Metadata; Bearer tokens: RFC 6750; x-api-key is
 *          Anthropic's header, api-key Azure's.
 * Tests    tests/unit/http/test_guard.c, tests/system/test_guard.py
 */
#ifndef HL_HTTP_GUARD_H
#define HL_HTTP_GUARD_H

#include "base/scope.h"
#include "request.h"

struct hl_guard {
        bool trust_all;   /* nobody needs a token */
        bool trust_local; /* peers on this machine need no token, unless a header says that they forward */
        /* What such a peer may: bits of a scope, and where there are none, why. NULL: everything. */
        unsigned (*scopes_of_local)(void *data, const struct hl_peer *peer, const char **ret_why);
        bool models;                   /* models are behind it: who has no token is told as /v1's clients expect it */
        const char *const *host_names; /* further names of this host, NULL-terminated; may be NULL */
        const char *const *origins;    /* of pages that may come from elsewhere, NULL-terminated; may be NULL */
        /* The bits of a secret's scope, HL_SCOPE_NONE for an unknown one, or -errno; -EAGAIN: not now. */
        int (*scopes_of)(void *data, const char *secret);
        void *data;
};

/* A browser says whose page sends a request. Programs do not. */
enum hl_page {
        HL_PAGE_NONE,
        HL_PAGE_OWN,     /* it came from the host and port that it asks: to change something where models have pages,
                          * too, it needs a token, wherever it is shown */
        HL_PAGE_NAMED,   /* one of hl_guard.origins */
        HL_PAGE_FOREIGN, /* any other: it may change nothing, and read nothing */
};

enum hl_page hl_guard_page(const struct hl_guard *guard, const struct hl_request *request);

/* Each 0, or -EINVAL and a problem. The page's part begins with the host's. */
int hl_guard_admit_host(const struct hl_guard *guard, const struct hl_request *request, struct hl_problem *ret_problem);
int hl_guard_admit_page(const struct hl_guard *guard, const struct hl_request *request, struct hl_problem *ret_problem);
int hl_guard_admit_peer(const struct hl_guard *guard, const struct hl_request *request, unsigned *ret_scopes,
                        struct hl_problem *ret_problem);

/* -EINVAL and 403: what is asked for needs one of the bits `needed`, and the peer was admitted with others. */
int hl_guard_refuse_scope(const struct hl_request *request, unsigned needed, unsigned scopes,
                          struct hl_problem *ret_problem);

#endif
