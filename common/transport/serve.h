/* SPDX-License-Identifier: MIT */
/* serve.h - the ways in: a connection from systemd (inetd style), a CGI environment, a listening socket of FastCGI, or
 *           one of other machines' HTTP.
 *
 * Shape    a program gives hl_serve() the function that answers a request; which transport
 *          it was started behind is found out here, and the answer is the same bytes of
 *          body through each of them.
 * Errors   hl_serve() returns the program's exit status: 0, or EX_USAGE when it was
 *          started in no way that is known here.
 * Process  SIGPIPE is ignored.
 * Source   systemd.socket(5) Accept=yes, RFC 3875.
 * Tests    tests/unit/transport/test_serve.c, tests/doors/
 */
#ifndef HL_TRANSPORT_SERVE_H
#define HL_TRANSPORT_SERVE_H

#include "server.h"

int hl_serve(const struct hl_server *server);

#endif
