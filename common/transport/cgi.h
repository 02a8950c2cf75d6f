/* SPDX-License-Identifier: MIT */
/* cgi.h - one request from a CGI/1.1 environment.
 *
 * Shape    hl_cgi_answer() turns variables into a request and its response, wherever they come from, so
 *          that CGI and FastCGI share it. The path is PATH_INFO, or REQUEST_URI's where
 *          there is none.
 * Errors   what is wrong with a request is answered; hl_cgi_serve() returns EXIT_FAILURE
 *          where the answer could not be written.
 * Source   RFC 3875.
 * Tests    tests/unit/transport/test_serve.c, tests/doors/
 */
#ifndef HL_TRANSPORT_CGI_H
#define HL_TRANSPORT_CGI_H

#include "server.h"

/* Where a request comes from: its variables, and the bytes of its body. */
struct hl_cgi_source {
        const char *(*get)(void *data, const char *name); /* NULL where there is no such variable */
        int (*read_body)(void *data, size_t len, struct hl_buf *body, struct hl_problem *ret_problem);
        void *data;
};

/* Fills an initialised request from the variables: all but its body. 0, or -EINVAL and a problem. */
int hl_cgi_read(struct hl_request *request, const struct hl_cgi_source *source, struct hl_problem *ret_problem);

/* Answers one request: *out is the response in CGI's form, head and, unless the request was HEAD, body. A response that
 * streams has been written to `stream`, and *out is empty. */
void hl_cgi_answer(const struct hl_server *server, const struct hl_cgi_source *source, const struct hl_stream *stream,
                   struct hl_buf *out);

/* Answers the request of the process' environment. Returns the exit status. */
int hl_cgi_serve(int in, int out, const struct hl_server *server);

#endif
