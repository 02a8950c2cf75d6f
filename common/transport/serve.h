/* SPDX-License-Identifier: MIT */
/* serve.h - the ways in: a connection from systemd (inetd style), a CGI environment, or a listening FastCGI socket.
 *
 * Shape    a program gives hl_serve() the function that answers a request; which transport
 *          it was started behind is found out here, and the answer is the same bytes of
 *          body through each of them.
 * Errors   hl_serve() returns the program's exit status: 0, or EX_USAGE when it was
 *          started in no way that is known here.
 * Process  SIGPIPE is ignored. Behind FastCGI, answer is called from several threads at once.
 * Source   systemd.socket(5) Accept=yes, RFC 3875.
 * Tests    tests/unit/transport/test_serve.c, tests/doors/
 */
#ifndef HL_TRANSPORT_SERVE_H
#define HL_TRANSPORT_SERVE_H

#include "http/request.h"
#include "http/response.h"

#include <stdbool.h>

struct hl_server {
        const char *name; /* of the program: for its usage message */
        void (*answer)(const void *service, const struct hl_request *request, struct hl_response *response);
        /* The answer to a request in which the transport has found a problem, and which it may not have read to its
         * end; NULL: the problem is told as it is. */
        void (*refuse)(const void *service, const struct hl_request *request, const struct hl_problem *problem,
                       struct hl_response *response);
        const void *service;
};

int hl_serve(const struct hl_server *server);

/* For the transports. */
void hl_server_refuse(const struct hl_server *server, const struct hl_request *request,
                      const struct hl_problem *problem, struct hl_response *response);

/* Whether fd is a listening socket. */
bool hl_is_listening(int fd);

#endif
