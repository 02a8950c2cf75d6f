/* SPDX-License-Identifier: MIT */
/* fastcgi_request.h - one FastCGI request on a connection that was accepted already. The only user of libfcgi.
 *
 * Shape    hl_fastcgi_read() takes the parameters in. The request may then be kept for any time, until
 *          hl_fastcgi_finish() answers it.
 * Units    receive_us: how long the web server may take for the next piece of a request, and of an answer that goes on.
 * Owner    the request owns its connection. hl_fastcgi_finish() frees both, hl_fastcgi_finish_kept() may give it back.
 *          Values of parameters live as long as it.
 * Process  hl_fastcgi_init() once, before anything else. Different requests may be used by different threads.
 * Source   FastCGI 1.0; libfcgi's fcgiapp.h. Connections are accepted outside of libfcgi, whose own accept could be
 *          waited for neither with a limit nor together with a signal.
 * Tests    tests/unit/transport/test_fastcgi_request.c, tests/doors/test_fastcgi.py
 */
#ifndef HL_TRANSPORT_FASTCGI_REQUEST_H
#define HL_TRANSPORT_FASTCGI_REQUEST_H

#include <stddef.h>
#include <stdint.h>

struct hl_fastcgi_request;

int hl_fastcgi_init(void);

/* Takes fd. NULL: no request came in time. */
struct hl_fastcgi_request *hl_fastcgi_read(int fd, uint64_t receive_us);

/* The same of a connection that hl_fastcgi_finish_kept() gave back: it has its limit already. */
struct hl_fastcgi_request *hl_fastcgi_read_next(int fd, uint64_t receive_us);

/* A parameter's value, or NULL. */
const char *hl_fastcgi_get(const struct hl_fastcgi_request *request, const char *name);

/* The next bytes of the body, at most size: how many; 0 at its end, or where no more come. */
size_t hl_fastcgi_body(struct hl_fastcgi_request *request, void *bytes, size_t size);

/* The connection, to see whether the web server has closed it. */
int hl_fastcgi_fd(const struct hl_fastcgi_request *request);

/* Sends a piece of an answer at once, for one that takes long. -EPIPE: nobody listens any more, or takes it in time. */
int hl_fastcgi_write(struct hl_fastcgi_request *request, const void *bytes, size_t len);

/* Sends the answer in CGI's form, or the rest of it; text NULL: nothing. The unread rest of the body is passed over. */
void hl_fastcgi_finish(struct hl_fastcgi_request *request, const char *text, size_t len);

/* The same, but returns the connection where the web server wants to keep it for another request: the caller's, to be
 * read from or closed. -1: it is closed. */
int hl_fastcgi_finish_kept(struct hl_fastcgi_request *request, const char *text, size_t len);

#endif
