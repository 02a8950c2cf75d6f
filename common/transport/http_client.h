/* SPDX-License-Identifier: MIT */
/* http_client.h - one HTTP request to another machine. The only user of libcurl.
 *
 * Shape    hl_http_client keeps connections open from one request to the next; a request and its
 *          answer are plain values.
 * Units    deadline_us is CLOCK_MONOTONIC; it bounds everything, from the name's resolution to
 *          the last byte. max is the most bytes of body that are taken.
 * Errors   any HTTP status is an answer, and 0. -ECONNREFUSED/BUSY: nobody is there, also
 *          where the name is unknown; -ETIMEDOUT/TIMEOUT; -EACCES/INTERNAL: TLS does not
 *          vouch for the other side; -EMSGSIZE/UPSTREAM: more than max; -EPROTO/UPSTREAM:
 *          not HTTP, no TLS, or an answer that ended early; -EINVAL/INVALID: not a URL, not a
 *          certificate; -ECANCELED/CANCELLED: take or tick had enough. Messages name the URL.
 * Owner    hl_http_client_free(); the answer's body with hl_buf_free(), also after a failure.
 * Process  one hl_http_client a thread. Certificates are always verified, redirects never
 *          followed, proxies of the environment never asked: a token goes where it was
 *          meant to go and nowhere else.
 * Tests    tests/unit/transport/test_http_client.c, tests/kubernetes/test_faults.py
 */
#ifndef HL_TRANSPORT_HTTP_CLIENT_H
#define HL_TRANSPORT_HTTP_CLIENT_H

#include "base/buf.h"

#include <stdint.h>

struct hl_err;
struct hl_http_client;

#define HL_ADDRESS_SIZE 46 /* bytes: an IPv6 address and the NUL */

/* PEM texts; NULL: none. Without ca the system's authorities are trusted. */
struct hl_http_client_tls {
        const char *ca;
        const char *certificate;
        const char *key;
};

struct hl_http_client_request {
        const char *method; /* "GET", "PATCH" */
        const char *url;    /* http:// or https:// */
        const char *token;  /* sent as a bearer token; NULL: none */
        const char *content_type;
        const char *body; /* NULL: none */
        size_t body_len;
        const struct hl_http_client_tls *tls; /* NULL: what the system trusts */
        uint64_t deadline_us;

        /* For a person who waits. Negative ends the request, which then is -ECANCELED/CANCELLED. */
        int (*take)(void *data, const char *bytes,
                    size_t len); /* gets the body of a 2xx as it comes; NULL: it is kept */
        int (*tick)(void *data); /* called at least every second; NULL: not */
        void *data;
};

struct hl_http_client_answer {
        int status;
        unsigned retry_after_seconds;  /* 0: the answer does not say */
        char address[HL_ADDRESS_SIZE]; /* who answered */
        struct hl_buf body;            /* max is the caller's to set */
};

int hl_http_client_open(struct hl_http_client **ret_client, struct hl_err *err);
struct hl_http_client *hl_http_client_free(struct hl_http_client *client); /* returns NULL */
void hl_http_client_cleanup(struct hl_http_client **client);

/* answer->body is emptied first and keeps its max. */
int hl_http_client_ask(struct hl_http_client *client, const struct hl_http_client_request *request,
                       struct hl_http_client_answer *answer, struct hl_err *err);

#endif
