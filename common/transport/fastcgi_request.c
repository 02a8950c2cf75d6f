/* SPDX-License-Identifier: MIT */
#include "fastcgi_request.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcgiapp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct hl_fastcgi_request {
        FCGX_Request fcgi;
        struct timeval patience; /* with the web server, for the next piece */
        int fd;
};

int hl_fastcgi_init(void)
{
        if (FCGX_Init() != 0)
                return -EIO;
        signal(SIGPIPE, SIG_IGN); /* FCGX_Init() put a handler of its own in its place */
        return 0;
}

/* Returns the connection, or -1. libfcgi would wait for the web server to close first, and with select(), which takes
 * no descriptor above 1023. After a failure it has closed the connection all the same. */
static int let_go(struct hl_fastcgi_request *request)
{
        int fd = request->fcgi.ipcFd >= 0 ? request->fd : -1;
        FCGX_Free(&request->fcgi, 0);
        free(request);
        return fd;
}

static void close_if_open(int fd)
{
        hl_close_fd(&fd);
}

struct hl_fastcgi_request *hl_fastcgi_read(int fd, uint64_t receive_us)
{
        struct hl_fastcgi_request *request = hl_alloc(sizeof(*request));
        request->patience = (struct timeval){ .tv_sec = (time_t)(receive_us / HL_USEC_PER_SEC),
                                              .tv_usec = (suseconds_t)(receive_us % HL_USEC_PER_SEC) };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &request->patience, sizeof(request->patience));
        request->fd = fd;
        FCGX_InitRequest(&request->fcgi, -1, 0); /* no socket to accept from: it fails where it would try to */
        request->fcgi.ipcFd = fd;
        request->fcgi.keepConnection = 1; /* or FCGX_Accept_r() begins with closing the connection it was given */
        /* libfcgi accepts a PARAMS stream that breaks off. Without this check the Origin, or the body's length, could
         * be missing. */
        if (FCGX_Accept_r(&request->fcgi) == 0 && FCGX_GetError(request->fcgi.in) == 0)
                return request;
        close_if_open(let_go(request));
        return NULL;
}

const char *hl_fastcgi_get(const struct hl_fastcgi_request *request, const char *name)
{
        return FCGX_GetParam(name, request->fcgi.envp);
}

size_t hl_fastcgi_body(struct hl_fastcgi_request *request, void *bytes, size_t size)
{
        int n = FCGX_GetStr(bytes, size < INT_MAX ? (int)size : INT_MAX, request->fcgi.in);
        return n > 0 ? (size_t)n : 0;
}

int hl_fastcgi_fd(const struct hl_fastcgi_request *request)
{
        return request->fd;
}

/* Closed with something unread, the connection would be reset, and the answer lost with it. */
static void pass_over_body(struct hl_fastcgi_request *request)
{
        char unread[4096];
        while (hl_fastcgi_body(request, unread, sizeof(unread)) > 0)
                ;
}

int hl_fastcgi_write(struct hl_fastcgi_request *request, const void *bytes, size_t len)
{
        setsockopt(request->fd, SOL_SOCKET, SO_SNDTIMEO, &request->patience, sizeof(request->patience));
        pass_over_body(request);
        FCGX_PutStr(bytes, (int)len, request->fcgi.out);
        return FCGX_FFlush(request->fcgi.out) < 0 || FCGX_GetError(request->fcgi.out) != 0 ? -EPIPE : 0;
}

int hl_fastcgi_finish_kept(struct hl_fastcgi_request *request, const char *text, size_t len)
{
        bool is_kept = text && request->fcgi.keepConnection;
        if (text) {
                pass_over_body(request);
                FCGX_PutStr(text, (int)len, request->fcgi.out);
                is_kept = FCGX_FClose(request->fcgi.err) == 0 && is_kept;
                is_kept = FCGX_FClose(request->fcgi.out) == 0 && is_kept; /* the last of both ends the request */
                is_kept = FCGX_GetError(request->fcgi.in) == 0 && is_kept;
        }
        int fd = let_go(request);
        if (!is_kept)
                close_if_open(fd);
        return is_kept ? fd : -1;
}

void hl_fastcgi_finish(struct hl_fastcgi_request *request, const char *text, size_t len)
{
        close_if_open(hl_fastcgi_finish_kept(request, text, len));
}
