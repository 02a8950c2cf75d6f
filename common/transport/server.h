/* SPDX-License-Identifier: MIT */
/* server.h - who answers the requests that a transport brings.
 *
 * Shape    a const value of the program's, handed down to each transport.
 * Process  behind FastCGI, answer and refuse are called from several threads at once.
 * Tests    tests/unit/transport/test_serve.c
 */
#ifndef HL_TRANSPORT_SERVER_H
#define HL_TRANSPORT_SERVER_H

#include "http/request.h"
#include "http/response.h"

struct hl_server {
        const char *name; /* of the program: for its usage message */
        void (*answer)(const void *service, const struct hl_request *request, struct hl_response *response);
        /* The answer to a request in which the transport has found a problem, and which it may not have read to its
         * end; NULL: the problem is told as it is. */
        void (*refuse)(const void *service, const struct hl_request *request, const struct hl_problem *problem,
                       struct hl_response *response);
        const void *service;
};

/* The answer to a request in which the transport has found a problem: refuse()'s, or the problem as it is. */
void hl_server_refuse(const struct hl_server *server, const struct hl_request *request,
                      const struct hl_problem *problem, struct hl_response *response);

#endif
