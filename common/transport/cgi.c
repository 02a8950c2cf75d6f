/* SPDX-License-Identifier: MIT */
#include "cgi.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_TIMEOUT (10 * HL_USEC_PER_SEC)
#define WRITE_TIMEOUT (10 * HL_USEC_PER_SEC)

/* PATH_INFO comes decoded; our routes take encoded paths. */
static char *encode_path(const char *path)
{
        struct hl_buf out = { 0 };
        for (; *path; path++) {
                if (isalnum((unsigned char)*path) || strchr("/-._~:@!$&'()*+,;=", *path))
                        hl_buf_add(&out, path, 1);
                else
                        hl_buf_addf(&out, "%%%02X", (unsigned char)*path);
        }
        return out.data;
}

static char *find_target(const struct hl_cgi_source *source)
{
        const char *path_info = source->get(source->data, "PATH_INFO"), *uri = source->get(source->data, "REQUEST_URI"),
                   *query = source->get(source->data, "QUERY_STRING");
        if (!path_info || !*path_info)
                return hl_strdup(uri && *uri ? uri : "/");
        HL_CLEANUP(hl_free_pointer) char *path = encode_path(path_info);
        return hl_format("%s%s%s", path, query && *query ? "?" : "", query ? query : "");
}

static int find_body_len(const struct hl_cgi_source *source, size_t *ret_len, struct hl_problem *ret_problem)
{
        const char *text = source->get(source->data, "CONTENT_LENGTH");
        uint64_t len = 0;
        if (!text || !*text) {
                if (source->get(source->data, "HTTP_TRANSFER_ENCODING"))
                        return hl_problem(ret_problem, 411, "length_required", "send a Content-Length with a body");
        } else {
                int r = hl_parse_uint(text, HL_REQUEST_BODY_MAX, &len);
                if (r == -ERANGE)
                        return hl_refuse_large_body(ret_problem);
                if (r < 0)
                        return hl_problem(ret_problem, 400, "bad_request", "Content-Length must be a whole number");
        }
        *ret_len = (size_t)len;
        return 0;
}

int hl_cgi_read(struct hl_request *request, const struct hl_cgi_source *source, struct hl_problem *ret_problem)
{
        static const struct {
                const char *variable, *header;
        } headers[] = {
                { "HTTP_HOST", "Host" },
                { "HTTP_ORIGIN", "Origin" },
                { "HTTP_SEC_FETCH_SITE", "Sec-Fetch-Site" },
                { "CONTENT_TYPE", "Content-Type" },
                { "HTTP_CONTENT_ENCODING", "Content-Encoding" },
                { "HTTP_ACCEPT", "Accept" },
                { "HTTP_AUTHORIZATION", "Authorization" },
                { "HTTP_LAST_EVENT_ID", "Last-Event-ID" },
                { "HTTP_X_API_KEY", "X-Api-Key" },
                { "HTTP_API_KEY", "Api-Key" },
                { "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "Access-Control-Request-Method" },
                { "HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "Access-Control-Request-Headers" },
                { "HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK", "Access-Control-Request-Private-Network" },
                { "HTTP_FORWARDED", "Forwarded" },
                { "HTTP_X_FORWARDED_FOR", "X-Forwarded-For" },
                { "HTTP_X_REAL_IP", "X-Real-IP" },
                { "HTTP_VIA", "Via" },
        };
        const char *method = source->get(source->data, "REQUEST_METHOD"),
                   *address = source->get(source->data, "REMOTE_ADDR"),
                   *shares = source->get(source->data, "HL_SHARES_ORIGIN");
        request->method = hl_method_parse(method ? method : "");
        hl_copy(request->peer.name, sizeof(request->peer.name), address && *address ? address : "unknown");
        hl_make_printable(request->peer.name);
        request->peer.local = hl_address_is_local(request->peer.name);
        request->peer.is_unix = hl_has_prefix(request->peer.name, "unix:");
        request->peer.client = hl_endpoint_parse(address, source->get(source->data, "REMOTE_PORT"));
        request->peer.server =
                hl_endpoint_parse(source->get(source->data, "SERVER_ADDR"), source->get(source->data, "SERVER_PORT"));
        request->shares_origin = shares && strcmp(shares, "1") == 0;

        HL_CLEANUP(hl_free_pointer) char *target = find_target(source);
        if (strlen(target) > HL_REQUEST_TARGET_MAX)
                return hl_refuse_long_target(ret_problem);
        int r = hl_request_target(request, target, ret_problem);
        for (size_t i = 0; r == 0 && i < HL_COUNT(headers); i++) {
                const char *value = source->get(source->data, headers[i].variable);
                if (value && *value)
                        r = hl_request_header(request, headers[i].header, value, ret_problem);
        }
        return r;
}

static const char *from_environment(void *data, const char *name)
{
        (void)data;
        return getenv(name);
}

static int from_stream(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        int fd = *(const int *)data;
        uint64_t deadline_us = hl_clock_monotonic() + BODY_TIMEOUT;
        while (body->len < len) {
                char bytes[4096];
                size_t want = len - body->len < sizeof(bytes) ? len - body->len : sizeof(bytes);
                if (hl_wait_fd(fd, POLLIN, deadline_us) <= 0)
                        return hl_refuse_late(problem);
                ssize_t n = read(fd, bytes, want);
                if (n <= 0)
                        return hl_refuse_incomplete(problem);
                hl_buf_add(body, bytes, (size_t)n);
        }
        return 0;
}

void hl_cgi_answer(const struct hl_server *server, const struct hl_cgi_source *source, const struct hl_stream *stream,
                   struct hl_buf *out)
{
        struct hl_request request;
        struct hl_response response = { 0 };
        struct hl_problem problem = { 0 };
        size_t body_len = 0;
        hl_request_init(&request);
        request.client_fd = stream->client_fd;
        request.came_us = stream->came_us;
        if (hl_cgi_read(&request, source, &problem) < 0 || find_body_len(source, &body_len, &problem) < 0 ||
            source->read_body(source->data, body_len, &request.body, &problem) < 0)
                hl_server_refuse(server, &request, &problem, &response);
        else
                server->answer(server->service, &request, &response);

        hl_response_head(&response, &request, HL_HEAD_CGI, NULL, out);
        if (request.method != HL_HEAD)
                hl_buf_add(out, response.body.data, response.body.len);
        if (response.stream && request.method != HL_HEAD) {
                if (stream->write(stream->data, out->data, out->len) == 0)
                        response.stream(response.stream_data, stream);
                hl_buf_free(out);
        }
        hl_request_free(&request);
        hl_response_free(&response);
}

static int to_stream(void *data, const void *bytes, size_t len)
{
        return hl_write_all(*(const int *)data, bytes, len, hl_clock_monotonic() + WRITE_TIMEOUT);
}

int hl_cgi_serve(int in, int out, const struct hl_server *server)
{
        const struct hl_cgi_source source = { .get = from_environment, .read_body = from_stream, .data = &in };
        const struct hl_stream stream = { .write = to_stream, .data = &out, .client_fd = out, .stop_fd = -1 };
        struct hl_buf text = { 0 };
        hl_cgi_answer(server, &source, &stream, &text);
        int r = to_stream(&out, text.data, text.len);
        hl_buf_free(&text);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
