/* SPDX-License-Identifier: MIT */
/* routes.h - a route table, and the way from a request to its response.
 *
 * Shape    a service is one const table; 404, 405 with Allow, HEAD, OPTIONS, "GET /" with the list of routes, scopes,
 *          content type and query parameters come from it. Pages that came from elsewhere and are named by the guard
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
#include "guard.h"
#include "request.h"
#include "response.h"

/* One request on its way through a route. */
struct hl_context {
        const struct hl_request *request;
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
};

struct hl_route {
        enum hl_method method;
        /* "/models/{name}/start": at most one {…}, one whole segment; {…...} at the end: all the rest. */
        const char *path;
        hl_route_fn *run;
        unsigned scope;    /* bits: one of them is needed */
        const char *query; /* the parameters it knows, comma-separated; NULL for none */
        const char *summary;
        unsigned flags; /* enum hl_route_flag */
};

struct hl_routes {
        const char *name;  /* "shutdown-service" */
        const char *title; /* "Shutdown Service" */
        const struct hl_route *items;
        size_t count;
};

/* Fills the response, whatever the request is. *ret_err is what went wrong (kind
 * HL_ERR_NONE: nothing did): for the log. */
void hl_routes_answer(const struct hl_routes *routes, const struct hl_guard *guard, void *service,
                      const struct hl_request *request, struct hl_response *response, struct hl_err *ret_err);

/* The answer to a request that a transport found something wrong with: a named page may read that, too. */
void hl_routes_refuse(const struct hl_guard *guard, const struct hl_request *request, const struct hl_problem *problem,
                      struct hl_response *response);

/* Reads the body's fields; the first thing wrong with them becomes ctx->err. */
int hl_context_read_body(struct hl_context *ctx, const struct hl_json_field *fields, size_t field_count);

/* The value of a query parameter that must be one of `choices` (comma-separated), NULL where it is absent.
 * *ret_value: free(). */
int hl_context_choice(struct hl_context *ctx, const char *name, const char *choices, char **ret_value);

#endif
