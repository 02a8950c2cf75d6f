/* SPDX-License-Identifier: MIT */
#include "inetd.h"

#include "base/clock.h"
#include "base/io.h"
#include "http/parser.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 16384
#define LINGER_BYTES_MAX (1024 * 1024) /* read and thrown away at most, so that a last answer arrives */

const struct hl_inetd_limits hl_inetd_limits = {
        .first_us = 2 * HL_USEC_PER_SEC,
        .request_us = 10 * HL_USEC_PER_SEC,
        .idle_us = 5 * HL_USEC_PER_SEC,
        .write_us = 10 * HL_USEC_PER_SEC,
        .linger_us = 1 * HL_USEC_PER_SEC,
        .connection_us = 20 * HL_USEC_PER_SEC,
};

struct connection {
        int fd, stop_fd;
        const struct hl_inetd_limits *limits;
        const struct hl_server *server;
        struct hl_peer peer;
        struct hl_buf input; /* read and not yet used */
        uint64_t began_us;
        bool first;
};

enum outcome {
        REQUEST_WHOLE,
        REQUEST_BAD, /* answer the problem, then close */
        CONNECTION_OVER,
};

static void find_peer(struct connection *c)
{
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof(address);
        const void *ip = NULL;
        if (getpeername(c->fd, (struct sockaddr *)&address, &len) < 0)
                return;
        if (address.ss_family == AF_UNIX) {
                struct ucred other;
                len = sizeof(other);
                c->peer = (struct hl_peer){ .local = true, .name = "unix", .is_unix = true };
                c->peer.has_uid = getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &other, &len) == 0;
                c->peer.uid = c->peer.has_uid ? other.uid : 0;
                return;
        }
        c->peer.client = hl_endpoint_of((struct sockaddr *)&address);
        if (address.ss_family == AF_INET)
                ip = &((struct sockaddr_in *)&address)->sin_addr;
        else if (address.ss_family == AF_INET6)
                ip = &((struct sockaddr_in6 *)&address)->sin6_addr;
        if (ip && inet_ntop(address.ss_family, ip, c->peer.name, sizeof(c->peer.name)))
                c->peer.local = hl_address_is_local(c->peer.name);
        len = sizeof(address);
        if (getsockname(c->fd, (struct sockaddr *)&address, &len) == 0)
                c->peer.server = hl_endpoint_of((struct sockaddr *)&address);
}

static int send_bytes(void *data, const void *bytes, size_t len)
{
        struct connection *c = data;
        return hl_write_all(c->fd, bytes, len, hl_clock_monotonic() + c->limits->write_us);
}

/* Fills c->input. 1: there is something; 0: the deadline passed; -ENODATA: the client sends no more; else -errno. */
static int read_more(struct connection *c, uint64_t deadline_us)
{
        char bytes[READ_SIZE];
        for (;;) {
                int r = hl_wait_fd(c->fd, POLLIN, deadline_us);
                if (r <= 0)
                        return r;
                ssize_t n = read(c->fd, bytes, sizeof(bytes));
                if (n > 0)
                        return hl_buf_add(&c->input, bytes, (size_t)n) < 0 ? -EMSGSIZE : 1;
                if (n == 0)
                        return -ENODATA;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
        }
}

static enum outcome no_more(int r, struct hl_parser *parser, struct hl_problem *problem)
{
        if (!hl_parser_started(parser) || (r < 0 && r != -ENODATA))
                return CONNECTION_OVER;
        if (r == 0)
                hl_refuse_late(problem);
        else
                hl_refuse_incomplete(problem);
        return REQUEST_BAD;
}

static enum outcome read_request(struct connection *c, struct hl_parser *parser, struct hl_problem *problem)
{
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uint64_t deadline_us = hl_clock_monotonic() + (c->first ? c->limits->first_us : c->limits->idle_us);
        bool begun = false;
        for (;;) {
                if (c->input.len == 0) {
                        int r = read_more(c, deadline_us);
                        if (r <= 0)
                                return no_more(r, parser, problem);
                }
                size_t used = c->input.len;
                enum hl_parse parse = hl_parser_feed(parser, c->input.data, c->input.len, &used, problem);
                if (parse == HL_PARSE_BAD)
                        return REQUEST_BAD;
                hl_buf_drop(&c->input, used);
                if (parse == HL_PARSE_COMPLETE)
                        return REQUEST_WHOLE;
                if (parse == HL_PARSE_EXPECT && send_bytes(c, go_on, sizeof(go_on) - 1) < 0)
                        return CONNECTION_OVER;
                if (!begun && hl_parser_started(parser)) {
                        begun = true;
                        deadline_us = hl_clock_monotonic() + c->limits->request_us;
                }
        }
}

static int send_response(struct connection *c, const struct hl_request *request, const struct hl_response *response,
                         bool keep_alive)
{
        struct hl_buf out = { 0 };
        hl_response_head(response, request, HL_HEAD_HTTP, keep_alive ? "keep-alive" : "close", &out);
        if (request->method != HL_HEAD)
                hl_buf_add(&out, response->body.data, response->body.len);
        int r = send_bytes(c, out.data, out.len);
        hl_buf_free(&out);
        return r;
}

static void follow(struct connection *c, const struct hl_response *response)
{
        const struct hl_stream stream = { .write = send_bytes, .data = c, .client_fd = c->fd, .stop_fd = c->stop_fd };
        response->stream(response->stream_data, &stream);
}

/* Closing a socket with unread input resets it, and the client may lose the answer: RFC 9112 9.6. */
static void linger(struct connection *c)
{
        uint64_t deadline_us = hl_clock_monotonic() + c->limits->linger_us;
        size_t total = 0;
        shutdown(c->fd, SHUT_WR);
        while (total < LINGER_BYTES_MAX) {
                hl_buf_free(&c->input);
                if (read_more(c, deadline_us) <= 0)
                        break;
                total += c->input.len;
        }
}

/* While a request waits for something long (a model to load), its client may leave: then a process and a connection
 * would wait for nobody. The kernel says when the client has sent its last byte, but not whether it still listens: an
 * interim response (RFC 9110 15.2) makes a client that is gone answer with a reset. */
static int watched_fd = -1;
static volatile sig_atomic_t asked;

static void on_client(int signal_number)
{
        static const char interim[] = "HTTP/1.1 102 Processing\r\n\r\n";
        struct pollfd client = { .fd = watched_fd, .events = POLLRDHUP };
        int interrupted_errno = errno;
        (void)signal_number;
        if (poll(&client, 1, 0) > 0 && (client.revents & (POLLERR | POLLHUP)))
                _exit(EXIT_SUCCESS);
        if ((client.revents & POLLRDHUP) && !asked) {
                asked = 1;
                send(watched_fd, interim, sizeof(interim) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        errno = interrupted_errno;
}

static void watch_client(void)
{
        const struct sigaction action = { .sa_handler = on_client, .sa_flags = SA_RESTART };
        int flags = fcntl(watched_fd, F_GETFL);
        if (sigaction(SIGIO, &action, NULL) == 0 && fcntl(watched_fd, F_SETOWN, getpid()) == 0 && flags >= 0 &&
            fcntl(watched_fd, F_SETFL, flags | O_ASYNC) == 0)
                raise(SIGIO); /* it may have left before */
}

static void answer_watched(struct connection *c, struct hl_request *request, bool http_1_1,
                           struct hl_response *response)
{
        watched_fd = c->fd;
        asked = 0;
        request->on_queued = http_1_1 ? watch_client : NULL; /* HTTP/1.0 knows no interim responses */
        c->server->answer(c->server->service, request, response);
        int flags = fcntl(c->fd, F_GETFL);
        if (flags >= 0 && (flags & O_ASYNC)) {
                fcntl(c->fd, F_SETFL, flags & ~O_ASYNC);
                signal(SIGIO, SIG_IGN);
        }
}

/* One request and its response. True when another may follow on this connection. */
static bool serve_request(struct connection *c)
{
        struct hl_request request;
        struct hl_response response = { 0 };
        struct hl_problem problem = { 0 };
        hl_request_init(&request);
        request.peer = c->peer;
        struct hl_parser *parser = hl_parser_new(&request);

        enum outcome outcome = read_request(c, parser, &problem);
        bool again = false;
        if (outcome == REQUEST_BAD) {
                hl_server_refuse(c->server, &request, &problem, &response);
                if (send_response(c, &request, &response, false) == 0)
                        linger(c);
        } else if (outcome == REQUEST_WHOLE) {
                answer_watched(c, &request, hl_parser_is_http_1_1(parser), &response);
                /* Who is not let in asks by a connection for each try, of which there are only so many. */
                again = hl_parser_keeps_alive(parser) && !response.stream && !hl_status_refuses(response.status) &&
                        hl_clock_monotonic() - c->began_us < c->limits->connection_us;
                int r = send_response(c, &request, &response, again);
                if (r == 0 && response.stream && request.method != HL_HEAD)
                        follow(c, &response);
                if (r < 0)
                        again = false;
                else if (!again)
                        linger(c);
        }
        hl_parser_free(parser);
        hl_request_free(&request);
        hl_response_free(&response);
        return again;
}

void hl_inetd_serve(int fd, const struct hl_inetd_limits *limits, int stop_fd, const struct hl_server *server)
{
        struct connection c = {
                .fd = fd, .stop_fd = stop_fd, .limits = limits, .server = server, .began_us = hl_clock_monotonic()
        };
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return;
        find_peer(&c);
        for (c.first = true; serve_request(&c); c.first = false)
                ;
        hl_buf_free(&c.input);
}
