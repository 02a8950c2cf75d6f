/* SPDX-License-Identifier: MIT */
/* routes.h - a route table, and the way from a request to its response.
 *
 * Shape    a service is one const table; 404, 405 with Allow, HEAD, OPTIONS, "GET /" with the list of routes,
 *          "GET /openapi.json" with what they take and give, scopes, content type, query parameters and the fields of
 *          bodies come from it. Pages that came from elsewhere and are named by the guard
 *          may read every answer (cors.h).
 * Errors   a route returns 0, having set ctx->status and filled ctx->reply, or -errno with ctx->err filled, which
 *          becomes the answer (problem.h).
 * Owner    everything in hl_context belongs to the caller of the route.
 * Process  no logging: the program logs when hl_routes_answer() is done.
 * Tests    tests/unit/http/test_routes.c, tests/unit/http/test_routes_access.c
 */
#ifndef HL_HTTP_ROUTES_H
#define HL_HTTP_ROUTES_H

#include "base/err.h"
#include "base/json.h"
#include "fields.h"
#include "guard.h"
#include "request.h"
#include "response.h"

/* One request on its way through a route. */
struct hl_context {
        const struct hl_request *request;
        const struct hl_routes *routes;
        const struct hl_route *route;
        struct hl_response *response;
        const char *param; /* what stood for {…} in the path, decoded; NULL where the path has none */
        hl_json *body;     /* the request's body; {} where it was empty; NULL where the route takes none */
        hl_json *reply;    /* the answer: {"status":"success"}, to be added to; or what an error answer adds */
        int status;        /* 200 unless the route says otherwise */
        void *service;     /* the program's own */
        struct hl_err err;
};

typedef int hl_route_fn(struct hl_context *ctx);

/* How a route differs from the others. */
enum hl_route_flag {
        /* It is somebody else's API, whose clients send what we do not know: query parameters are theirs, and a slash
         * too many, at the end or between two segments, changes nothing. */
        HL_ROUTE_FOREIGN = 1,
        /* What its GET shows may be set by POST, PUT and PATCH alike. */
        HL_ROUTE_RESOURCE = 2,
        /* The body is JSON whatever its type says, unless a page sent it: clients that know one URL and a text (a
         * switch of Home Assistant's) name none, or a wrong one. */
        HL_ROUTE_ANY_TYPE = 4,
        /* Its answer has no "status": "success" at its top. */
        HL_ROUTE_BARE = 8,
        /* It may answer 202, with the same fields, before what it began has ended. */
        HL_ROUTE_BEGINS = 16,
};

struct hl_route {
        enum hl_method method;
        /* "/models/{name}/start": at most one {…}, one whole segment; {…...} at the end: all the rest. */
        const char *path;
        hl_route_fn *run;
        unsigned scope;                   /* bits: one of them is needed */
        const struct hl_parameter *query; /* the parameters it knows, up to a name that is NULL; NULL for none */
        const char *summary;
        unsigned flags; /* enum hl_route_flag */

        const struct hl_body_field *body; /* the fields that it knows */
        size_t body_count;
        const char *either[2];               /* two of them that do not go together, or NULL */
        const struct hl_reply_field *reply;  /* of its answer, beside "status"; NULL: the answer is no JSON */
        const char *types;                   /* what else its answer may be: content types, comma-separated; or NULL */
        const struct hl_route_error *errors; /* beside those that every route of its kind has; NULL: none */
};

#define HL_BODY(fields) .body = (fields), .body_count = HL_COUNT(fields)

struct hl_routes {
        const char *name;  /* "shutdown-service" */
        const char *title; /* "Shutdown Service" */
        const struct hl_route *items;
        size_t count;
        const char *site;  /* where NGINX's site has it: "/api/shutdown" */
        const char *param; /* what may stand for {…}, a regular expression of ECMA-262; NULL: any segment */
};

/* Each of its routes, and then those that every service has; NULL behind the last. */
const struct hl_route *hl_routes_at(const struct hl_routes *routes, size_t index);

/* Fills the response, whatever the request is. *ret_err is what went wrong (kind
 * HL_ERR_NONE: nothing did): for the log. */
void hl_routes_answer(const struct hl_routes *routes, const struct hl_guard *guard, void *service,
                      const struct hl_request *request, struct hl_response *response, struct hl_err *ret_err);

/* The answer to a request that a transport found something wrong with: a named page may read that, too. */
void hl_routes_refuse(const struct hl_guard *guard, const struct hl_request *request, const struct hl_problem *problem,
                      struct hl_response *response);

/* Reads the body by the route's fields into what `values` points to; it may be NULL where there are none. The first
 * thing wrong with them becomes ctx->err. */
int hl_context_read_body(struct hl_context *ctx, void *values);

/* The value of one of the route's query parameters, which was checked; NULL where it is absent. free() */
char *hl_context_parameter(const struct hl_context *ctx, const char *name);

/* The same of a number. */
uint64_t hl_context_number(const struct hl_context *ctx, const char *name, uint64_t otherwise);

#endif
