/* SPDX-License-Identifier: MIT */
#include "fastcgi_request.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORD_MAX (FCGI_MAX_LENGTH - FCGI_MAX_LENGTH % 8) /* bytes */

struct hl_fastcgi_request {
        FCGX_Request fcgi;
        struct timeval patience; /* with the web server, for the next piece */
        int fd;
        bool has_failed; /* a piece of the answer did not go out whole: nothing follows it */
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

static struct timeval timeval_of(uint64_t us)
{
        return (struct timeval){ .tv_sec = (time_t)(us / HL_USEC_PER_SEC),
                                 .tv_usec = (suseconds_t)(us % HL_USEC_PER_SEC) };
}

static void close_if_open(int fd)
{
        hl_close_fd(&fd);
}

struct hl_fastcgi_request *hl_fastcgi_read_next(int fd, uint64_t receive_us)
{
        struct hl_fastcgi_request *request = hl_alloc(sizeof(*request));
        request->patience = timeval_of(receive_us);
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

struct hl_fastcgi_request *hl_fastcgi_read(int fd, uint64_t receive_us)
{
        const struct timeval patience = timeval_of(receive_us);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        return hl_fastcgi_read_next(fd, receive_us);
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

/* All of it, or -EPIPE. */
static int send_all(int fd, struct iovec *pieces, size_t count)
{
        while (count > 0) {
                const struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
                ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
                if (sent < 0 && errno == EINTR)
                        continue;
                if (sent < 0)
                        return -EPIPE;
                size_t n = (size_t)sent;
                for (; count > 0 && n >= pieces->iov_len; pieces++, count--)
                        n -= pieces->iov_len;
                if (count > 0) {
                        pieces->iov_base = (char *)pieces->iov_base + n;
                        pieces->iov_len -= n;
                }
        }
        return 0;
}

/* A record's header: FastCGI 1.0, section 3.3. */
static void set_header(unsigned char header[static FCGI_HEADER_LEN], int type, int id, size_t len)
{
        const unsigned char bytes[FCGI_HEADER_LEN] = {
                FCGI_VERSION_1,    (unsigned char)type,       (unsigned char)(id >> 8),
                (unsigned char)id, (unsigned char)(len >> 8), (unsigned char)len
        };
        memcpy(header, bytes, sizeof(bytes));
}

/* libfcgi would send 8 KiB at a time, and each piece would cost the web server a turn. Here an answer goes out as one:
 * its bytes, and its end, where this is its last piece. */
static int send_answer(struct hl_fastcgi_request *request, const char *bytes, size_t len, bool is_last)
{
        if (request->has_failed)
                return -EPIPE;
        unsigned char head[FCGI_HEADER_LEN], end[3 * FCGI_HEADER_LEN] = { 0 };
        int r = 0, id = request->fcgi.requestId;
        set_header(end, FCGI_STDOUT, id, 0);
        set_header(end + FCGI_HEADER_LEN, FCGI_END_REQUEST, id, sizeof(FCGI_EndRequestBody)); /* all of it is 0 */
        do {
                size_t piece = len < RECORD_MAX ? len : RECORD_MAX;
                struct iovec pieces[] = { { head, piece > 0 ? sizeof(head) : 0 },
                                          { (char *)(uintptr_t)bytes, piece },
                                          { end, is_last && piece == len ? sizeof(end) : 0 } };
                set_header(head, FCGI_STDOUT, id, piece);
                r = send_all(request->fd, pieces, HL_COUNT(pieces));
                bytes += piece;
                len -= piece;
        } while (r == 0 && len > 0);
        request->has_failed = r < 0;
        return r;
}

int hl_fastcgi_write(struct hl_fastcgi_request *request, const void *bytes, size_t len)
{
        setsockopt(request->fd, SOL_SOCKET, SO_SNDTIMEO, &request->patience, sizeof(request->patience));
        pass_over_body(request);
        return send_answer(request, bytes, len, false);
}

int hl_fastcgi_finish_kept(struct hl_fastcgi_request *request, const char *text, size_t len)
{
        bool is_kept = text && request->fcgi.keepConnection;
        if (text) {
                pass_over_body(request);
                is_kept = send_answer(request, text, len, true) == 0 && is_kept;
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
