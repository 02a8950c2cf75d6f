/* SPDX-License-Identifier: MIT */
/* request.h - one HTTP request, whichever transport it came through.
 *
 * Shape    filled once by a transport, then read only. Of the headers only those that this
 *          product acts on are kept.
 * Owner    every string belongs to the request and lives until hl_request_free().
 * Errors   0, or -EINVAL and a struct hl_problem that says what is wrong.
 * Source   RFC 9110, RFC 9112; CGI/1.1 is RFC 3875.
 * Tests    tests/unit/http/test_request.c
 */
#ifndef HL_HTTP_REQUEST_H
#define HL_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/endpoint.h"
#include "problem.h"

#include <stdbool.h>

#define HL_REQUEST_TARGET_MAX 8192   /* bytes of the request target: 414 above */
#define HL_REQUEST_HEADERS_MAX 16384 /* bytes of all header names and values: 431 above */
#define HL_REQUEST_HEADER_COUNT_MAX 100
#define HL_REQUEST_BODY_MAX 65536 /* bytes: 413 above */
#define HL_REQUEST_ID_SIZE 17     /* 16 hexadecimal digits and the NUL */
#define HL_PEER_SIZE 64

enum hl_method { HL_GET, HL_HEAD, HL_POST, HL_OPTIONS, HL_METHOD_OTHER, HL_PUT, HL_PATCH };

/* Whether a request of this method may have a body. */
static inline bool hl_method_has_body(enum hl_method method)
{
        return method == HL_POST || method == HL_PUT || method == HL_PATCH;
}

struct hl_peer {
        bool local;              /* loopback or a unix socket: somebody on this machine */
        char name[HL_PEER_SIZE]; /* "127.0.0.1", "2001:db8::1", "unix": for the log */
        /* Whose connection it is, a program looks up by both its ends. Of a unix socket the kernel says it at once. */
        struct hl_endpoint client, server;
        bool is_unix; /* then these ends are not known, and perhaps whose it is: */
        bool has_uid;
        uint32_t uid;
};

struct hl_request {
        char id[HL_REQUEST_ID_SIZE];
        enum hl_method method;
        char *path;  /* still percent-encoded, begins with '/', or "*" */
        char *query; /* behind the '?', still encoded; NULL where there is none */
        char *host;
        char *origin;
        char *sec_fetch_site;
        char *content_type;
        char *content_encoding;
        char *accept;
        char *authorization;
        char *last_event_id;       /* of a stream of events: where its client stopped */
        char *x_api_key, *api_key; /* where Anthropic's and Azure's clients send their token */
        /* Access-Control-Request-…: what a page asks to be allowed. */
        char *ac_request_method, *ac_request_headers, *ac_request_private_network;
        bool forwarded;     /* a forwarding header is there: the peer is a proxy */
        bool shares_origin; /* where this is asked, pages of models have the same origin as ours */
        struct hl_peer peer;
        struct hl_buf body; /* .max is HL_REQUEST_BODY_MAX */
        /* For struct hl_wait. From its call on the process may end with its client, and nothing is lost. NULL behind
         * transports whose process has other clients. */
        void (*on_queued)(void);
        int client_fd;    /* behind those, a socket that hangs up when the client has left; -1: nobody can tell */
        uint64_t came_us; /* when it came, at the latest, by the monotonic clock; 0: nobody knows */
};

/* What more than one transport refuses, each -EINVAL: 408, 400, 414, 413. */
int hl_refuse_late(struct hl_problem *ret_problem);
int hl_refuse_incomplete(struct hl_problem *ret_problem);
int hl_refuse_long_target(struct hl_problem *ret_problem);
int hl_refuse_large_body(struct hl_problem *ret_problem);

/* Gives the request its random id. */
void hl_request_init(struct hl_request *request);
void hl_request_free(struct hl_request *request);

enum hl_method hl_method_parse(const char *name);
const char *hl_method_name(enum hl_method method); /* "(other)" for one that is not known */

/* Notes a header, if it is one of those above. One that stands twice, where that makes a
 * difference to the guard, is a problem. */
int hl_request_header(struct hl_request *request, const char *name, const char *value, struct hl_problem *ret_problem);

/* Takes the request target apart: "/path?query", "http://host/path?query" or "*". */
int hl_request_target(struct hl_request *request, const char *target, struct hl_problem *ret_problem);

/* The decoded value of a query parameter: *ret_value is NULL where it is absent, else free() it. */
int hl_request_query(const struct hl_request *request, const char *name, char **ret_value);

/* Whether the path is /v1 or below it, with however many slashes: clients of the OpenAI API are there, who know its
 * errors and no others. */
bool hl_request_is_openai(const struct hl_request *request);

/* True for 127.0.0.0/8, ::1, the IPv4-mapped form of the former, and for "unix:". */
bool hl_address_is_local(const char *address);

#endif
