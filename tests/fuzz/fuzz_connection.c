/* SPDX-License-Identifier: MIT */
/* Requests on one connection, against a small model of the protocol, which says how many answers there are, of which
 * class, and where the connection ends.
 *
 * The first byte says how much a read gives. Each line is a request: its method's first letter, then what it has:
 *   0  HTTP/1.0            c  Connection: close        b  a body with its length     x  no Host
 *   e  Expect              k  Connection: keep-alive   h  a body in chunks           u  Upgrade
 *   n  an empty line first t  a trailer                l  a longer body              f  an answer that streams
 *   2  a length twice      o  a body over the limit    q  a target over the limit    v  HTTP/3.0
 *   z  the client ends in the middle of it             ~  a line that is no request at all
 * A first line "R" has bytes as they come behind it: then only the form of the answers is known. */
#include "fuzz.h"

#include "base/io.h"
#include "base/mem.h"
#include "transport/inetd.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX 40
#define READS_MAX 500 /* about */

/* ---- the connection ---- */

static int server_fd;
static size_t read_at, step;
static struct hl_buf sent, answered; /* by the client, by the server */

ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
        if (fd != server_fd)
                return __real_read(fd, bytes, size);
        size_t n = sent.len - read_at;
        n = n < size ? n : size;
        n = n < step ? n : step;
        if (n > 0)
                memcpy(bytes, sent.data + read_at, n);
        read_at += n;
        return (ssize_t)n;
}

int __wrap_hl_write_all(int fd, const void *bytes, size_t len, uint64_t deadline_us);
int __wrap_hl_write_all(int fd, const void *bytes, size_t len, uint64_t deadline_us)
{
        (void)deadline_us;
        fuzz_must(fd == server_fd);
        return len > 0 ? hl_buf_add(&answered, bytes, len) : 0;
}

/* ---- the service: it tells what it was asked, so that each answer is known again ---- */

struct seen {
        bool is_head, streams;
};

static struct seen seen[1000]; /* the requests that were answered here */
static size_t seen_count;

static void stream_more(void *data, const struct hl_stream *stream)
{
        (void)data;
        stream->write(stream->data, "more", 4);
}

static void free_nothing(void *data)
{
        (void)data;
}

static void answer(const void *service, const struct hl_request *request, struct hl_response *response)
{
        (void)service;
        struct seen *last = &seen[seen_count < HL_COUNT(seen) - 1 ? seen_count++ : seen_count];
        *last = (struct seen){ request->method == HL_HEAD, strncmp(request->path, "/follow", 7) == 0 };
        response->status = 200;
        response->content_type = "text/plain";
        if (last->streams) {
                response->stream = stream_more;
                response->stream_free = free_nothing;
        }
        hl_buf_addf(&response->body, "%s %s %zu", hl_method_name(request->method), request->path, request->body.len);
}

static void serve(void)
{
        static const struct hl_server server = { .name = "fuzz", .answer = answer };
        static const struct hl_inetd_limits limits = { .first_us = 60000000,
                                                       .request_us = 60000000,
                                                       .idle_us = 60000000,
                                                       .write_us = 60000000,
                                                       .linger_us = 60000000,
                                                       .connection_us = UINT64_MAX };
        int fds[2];
        fuzz_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        close(fds[1]); /* then there is always something to read: bytes, or their end */
        server_fd = fds[0];
        read_at = seen_count = 0;
        step += step < SIZE_MAX / 2 ? sent.len / READS_MAX : 0;
        hl_inetd_serve(server_fd, &limits, -1, &server);
        close(server_fd);
        server_fd = -1;
}

/* ---- the model ---- */

struct expected {
        int status;  /* 200, or 4 for any of 400 to 499 */
        bool closes; /* behind this answer */
        bool is_head, streams;
        bool may_go_on; /* 100 may stand in front of it */
        char echo[64];  /* the body of a 200 */
};

static bool has(const char *line, size_t len, char flag)
{
        return len > 1 && memchr(line + 1, flag, len - 1) != NULL;
}

static const char *method_of(char letter)
{
        static const char *const methods[] = { "GET", "HEAD", "POST", "OPTIONS", "UPDATE", "DELETE" };
        for (size_t i = 0; i < HL_COUNT(methods); i++)
                if (*methods[i] == letter)
                        return i == 4 ? "PUT" : methods[i];
        return "PATCH";
}

static void put_body(const char *line, size_t len, size_t size, bool chunked)
{
        static const char text[] = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        for (size_t at = 0; at < size;) {
                size_t piece = size - at < sizeof(text) - 1 ? size - at : sizeof(text) - 1;
                if (chunked)
                        hl_buf_addf(&sent, "%zx;x=y\r\n", piece);
                hl_buf_add(&sent, text, piece);
                if (chunked)
                        hl_buf_adds(&sent, "\r\n");
                at += piece;
        }
        if (chunked)
                hl_buf_addf(&sent, "0\r\n%s\r\n", has(line, len, 't') ? "Host: b\r\nExpect: 100-continue\r\n" : "");
}

/* Sends the request that a line describes; what is expected of it. */
static struct expected send_request(const char *line, size_t len, unsigned number)
{
        const char *method = method_of(*line);
        bool old = has(line, len, '0'), sized = has(line, len, 'b'), chunked = has(line, len, 'h');
        bool streams = has(line, len, 'f'), close = has(line, len, 'c'), keep = has(line, len, 'k');
        bool wants_body = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
        size_t size = !sized && !chunked ? 0 : has(line, len, 'o') ? 65537 : has(line, len, 'l') ? 3000 : 20;
        struct expected e = { .status = 200, .streams = streams, .is_head = strcmp(method, "HEAD") == 0 };
        const char *name = streams ? "follow" : "item";
        size_t began = sent.len;

        if (has(line, len, 'n'))
                hl_buf_adds(&sent, "\r\n");
        hl_buf_addf(&sent, "%s /%s/%u%s", method, name, number, has(line, len, 'q') ? "?" : "");
        for (int i = 0; has(line, len, 'q') && i < 900; i++)
                hl_buf_adds(&sent, "long target");
        hl_buf_addf(&sent, " HTTP/%s\r\n", old ? "1.0" : has(line, len, 'v') ? "3.0" : "1.1");
        if (!has(line, len, 'x'))
                hl_buf_adds(&sent, "Host: localhost\r\n");
        if (close)
                hl_buf_adds(&sent, "Connection: close\r\n");
        if (keep)
                hl_buf_adds(&sent, "Connection: keep-alive\r\n");
        if (has(line, len, 'u'))
                hl_buf_adds(&sent, "Upgrade: websocket\r\nConnection: upgrade\r\n");
        if (has(line, len, 'e'))
                hl_buf_adds(&sent, "Expect: 100-continue\r\n");
        if (sized)
                hl_buf_addf(&sent, "Content-Length: %zu\r\n", size);
        if (sized && has(line, len, '2'))
                hl_buf_addf(&sent, "Content-Length: %zu\r\n", size + 1);
        if (chunked)
                hl_buf_adds(&sent, "Transfer-Encoding: chunked\r\n");
        hl_buf_adds(&sent, "\r\n");
        put_body(line, len, size, chunked);

        bool bad = (sized && (chunked || has(line, len, '2'))) || size > HL_REQUEST_BODY_MAX || has(line, len, 'q') ||
                   (!old && (has(line, len, 'v') || has(line, len, 'x'))) || (old && wants_body && !sized) ||
                   (old && chunked);
        if (has(line, len, '~')) {
                sent.len = began;
                hl_buf_adds(&sent, "what is this?\r\n\r\n");
                bad = true;
        }
        if (has(line, len, 'z')) {
                sent.len -= (sent.len - began) / 3 + 1;
                bad = true;
        }
        e.may_go_on = has(line, len, 'e');
        e.closes = bad || streams || close || (old && !keep);
        e.status = bad ? 4 : 200;
        snprintf(e.echo, sizeof(e.echo), "%s /%s/%u %zu", strcmp(method, "DELETE") ? method : "(other)", name, number,
                 size);
        return e;
}

/* ---- the answers ---- */

struct answer {
        int status;
        bool closes, is_http;
        const char *body;
        size_t len;
};

/* The next answer; *at is moved behind it. What is refused before its method is known is not known as a HEAD. */
static struct answer read_answer(size_t *at, bool is_head, bool streams)
{
        struct answer a = { 0 };
        const char *text = answered.data + *at, *end = strstr(text, "\r\n\r\n"), *length;
        fuzz_must(end && sscanf(text, "HTTP/1.1 %3d ", &a.status) == 1);
        length = strcasestr(text, "\r\nContent-Length: ");
        const char *connection = strcasestr(text, "\r\nConnection: ");
        a.closes = connection && connection < end && strncmp(connection, "\r\nConnection: close\r\n", 21) == 0;
        a.body = end + 4;
        if (a.status >= 200)
                fuzz_must(connection && connection < end && strcasestr(text, "\r\nX-Request-Id: ") < end);
        if (a.status >= 200 && (streams || (is_head && a.status / 100 == 4)))
                a.len = answered.len - (size_t)(a.body - answered.data);
        else if (a.status >= 200 && !is_head)
                fuzz_must(length && length < end && sscanf(length, "\r\n%*[^:]: %zu", &a.len) == 1);
        *at = (size_t)(a.body - answered.data) + a.len;
        fuzz_must(*at <= answered.len);
        return a;
}

static void compare(const struct expected *expected, size_t count)
{
        size_t at = 0, i = 0;
        for (; i < count; i++) {
                const struct expected *e = &expected[i];
                struct answer a = read_answer(&at, e->is_head, e->streams && e->status == 200 && !e->is_head);
                if (a.status == 100) {
                        fuzz_must(e->may_go_on);
                        a = read_answer(&at, e->is_head, e->streams && e->status == 200 && !e->is_head);
                }
                fuzz_must(e->status == 4 ? a.status / 100 == 4 : a.status == e->status);
                fuzz_must(a.closes == e->closes);
                if (e->status == 200 && !e->is_head)
                        fuzz_must(a.len >= strlen(e->echo) && memcmp(a.body, e->echo, strlen(e->echo)) == 0);
                if (e->closes)
                        break;
        }
        fuzz_must(at == answered.len); /* no answer that nobody asked for */
}

static void try_lines(struct fuzz_input *input)
{
        struct expected expected[REQUESTS_MAX];
        const char *line;
        size_t len, count = 0;
        while (count < REQUESTS_MAX && fuzz_line(input, &line, &len)) {
                if (len == 0)
                        continue;
                expected[count] = send_request(line, len, (unsigned)count);
                count++;
                if (has(line, len, 'z'))
                        break;
        }
        serve();
        compare(expected, count);
}

/* Whatever was sent: whole answers, one for each request that the service saw, and one more at most. */
static void try_raw(const struct fuzz_input *input)
{
        size_t at = 0, count = 0;
        bool closed = false;
        if (input->left > 0)
                hl_buf_add(&sent, input->data, input->left);
        serve();
        for (; at < answered.len; count++) {
                bool is_seen = count < seen_count;
                fuzz_must(!closed);
                struct answer a = read_answer(&at, is_seen && seen[count].is_head,
                                              is_seen && seen[count].streams && !seen[count].is_head);
                closed = a.closes;
                count -= a.status == 100;
                fuzz_must(a.status == 100 || a.status == (is_seen ? 200 : a.status) || seen_count > 990);
                fuzz_must(a.status == 100 || is_seen || (a.status / 100 == 4 && a.closes));
        }
        fuzz_must(count == seen_count || count == seen_count + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, size };
        step = fuzz_byte(&input) % 64 + 1u;
        if (step == 64)
                step = SIZE_MAX;
        if (input.left > 1 && input.data[0] == 'R' && input.data[1] == '\n') {
                input = (struct fuzz_input){ input.data + 2, input.left - 2 };
                try_raw(&input);
        } else {
                try_lines(&input);
        }
        hl_buf_free(&sent);
        hl_buf_free(&answered);
        return 0;
}
