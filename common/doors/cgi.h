/* cgi.h - one request from a CGI/1.1 environment.
 *
 * Shape    hl_cgi_request() turns variables into a request, wherever they come from, so
 *          that CGI and FastCGI share it. The path is PATH_INFO, or REQUEST_URI's where
 *          there is none.
 * Errors   0, or -EINVAL and a problem: the answer to send.
 * Source   RFC 3875.
 * Tests    tests/unit/test_doors.c, tests/doors/
 */
#ifndef HL_DOORS_CGI_H
#define HL_DOORS_CGI_H

#include "door.h"

typedef const char *hl_cgi_get_fn(void *data, const char *name);

/* All but the body; *ret_body_len is how long it is. */
int hl_cgi_request(struct hl_request *request, hl_cgi_get_fn *get, void *data, size_t *ret_body_len,
                   struct hl_problem *ret_problem);

/* The response as CGI wants it: head and, unless it was a HEAD request, body. */
void hl_cgi_response(const struct hl_request *request, const struct hl_response *response, struct hl_buf *out);

/* Answers the request of the process' environment. Returns the exit status. */
int hl_cgi_serve(int in, int out, const struct hl_door *door);

#endif
