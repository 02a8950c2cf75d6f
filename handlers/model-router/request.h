/* SPDX-License-Identifier: MIT */
/* request.h - one request as NGINX tells model-router of it: read once, then known.
 *
 * Shape    the client's part is a struct hl_request without its body, which is left in the connection; beside it stands
 *          what NGINX has found out: which of its locations asks, and what became of the first try. Nobody else asks
 *          for a parameter by its name.
 * Errors   hl_router_request_new(): a problem with the request's own head; it can be answered all the same.
 * Owner    takes the FastCGI request; answering takes it out again (answers.h). hl_router_request_free().
 * Source   nginx/home-lab-services/router.conf, wait.conf, server.conf.
 * Tests    tests/doors/test_router_routes.py
 */
#ifndef HL_MODEL_ROUTER_REQUEST_H
#define HL_MODEL_ROUTER_REQUEST_H

#include "http/guard.h"
#include "http/request.h"
#include "transport/fastcgi_request.h"

#include <stdbool.h>
#include <stdint.h>

/* NGINX takes ten redirections for a circle, and says so in HTML. It needs three more for routers that are killed. */
#define HL_ROUTER_HAND_BACKS_MAX 4

enum hl_router_call {
        HL_ROUTER_ROUTE, /* a path of the OpenAI API: which model is it for? */
        HL_ROUTER_ADMIT, /* a path of a model's own, of a client of whom something is to be asked */
        HL_ROUTER_WAKE,  /* the model did not take it */
};

struct hl_router_request {
        struct hl_fastcgi_request *fcgi; /* NULL once it was answered */
        struct hl_request http;
        enum hl_router_call call;
        const char *model;    /* whose location asks; "" where a body is to say it */
        const char *body_len; /* of a body that came in chunks, too: NGINX has counted it; NULL or "": there is none */
        enum hl_page page;    /* whose page sends it: filled by who has the configuration */
        bool is_forged;       /* a browser may send it for a page of another origin without being asked first */
        bool counts;          /* it makes a model work */
        bool was_sent;        /* the model had it, and did not say that it is still loading */
        uint64_t sent_us;     /* CLOCK_REALTIME, about when it was sent; 0: not known */
        uint64_t failed_us;   /* the same of when NGINX gave that up */
        bool timed_out;       /* of what was sent: no answer came in time */
        bool is_again;        /* a router sent it here: nobody had it */
        unsigned hand_backs;  /* how often it waited before, at a router that was stopped */
        uint64_t waits_us;    /* CLOCK_REALTIME, since when it has waited for its model, at any router; 0: not known */
        const char *cause;    /* of a refusal; NULL or "": none is known. Whoever refuses keeps it */
};

/* Takes fcgi. */
struct hl_router_request *hl_router_request_new(struct hl_fastcgi_request *fcgi, struct hl_problem *ret_problem);
struct hl_router_request *hl_router_request_free(struct hl_router_request *request); /* returns NULL */

#endif
