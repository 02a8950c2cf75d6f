/* SPDX-License-Identifier: MIT */
#include "parser.h"

#include "base/mem.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT(number) #number
#define TEXT_OF(limit) TEXT(limit)

struct hl_parser {
        llhttp_t llhttp;
        struct hl_request *request;
        struct hl_problem problem; /* .status 0: none yet */
        struct hl_buf target, name, value;
        size_t header_bytes, header_count;
        bool started, in_body, complete, has_host, has_length, chunked;
        bool head_over, in_line;   /* of the bytes that were looked at for folded lines */
        bool expects, expect_told; /* "Expect: 100-continue" came; it was told to the caller */
};

static struct hl_parser *self(llhttp_t *llhttp)
{
        return llhttp->data;
}

/* A callback that answers -1 ends the parsing with HPE_USER, or with its own error. */
static int bad(struct hl_parser *p, int status, const char *code, const char *message)
{
        hl_problem(&p->problem, status, code, "%s", message);
        return -1;
}

static int on_url(llhttp_t *llhttp, const char *bytes, size_t len)
{
        struct hl_parser *p = self(llhttp);
        if (hl_buf_add(&p->target, bytes, len) < 0) {
                hl_refuse_long_target(&p->problem);
                return -1;
        }
        return 0;
}

static int count_header_bytes(struct hl_parser *p, size_t len)
{
        p->header_bytes += len;
        if (p->header_bytes > HL_REQUEST_HEADERS_MAX)
                return bad(p, 431, "headers_too_large",
                           "the headers are longer than " TEXT_OF(HL_REQUEST_HEADERS_MAX) " bytes");
        return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *bytes, size_t len)
{
        struct hl_parser *p = self(llhttp);
        hl_buf_add(&p->name, bytes, len);
        return count_header_bytes(p, len);
}

static int on_header_value(llhttp_t *llhttp, const char *bytes, size_t len)
{
        struct hl_parser *p = self(llhttp);
        hl_buf_add(&p->value, bytes, len);
        return count_header_bytes(p, len);
}

/* RFC 9110 5.6.2, also where llhttp was not built in its strict mode and lets spaces pass in a header's name. */
#define TOKEN_CHARACTERS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static int take_header(struct hl_parser *p, const char *name, const char *value)
{
        if (!*name || name[strspn(name, TOKEN_CHARACTERS)])
                return bad(p, 400, "bad_request", "a header's name has a character that it may not have");
        if (++p->header_count > HL_REQUEST_HEADER_COUNT_MAX)
                return bad(p, 431, "too_many_headers",
                           "there are more than " TEXT_OF(HL_REQUEST_HEADER_COUNT_MAX) " headers");
        if (p->in_body)
                return 0; /* a trailer behind a chunked body: may change nothing */
        if (strcasecmp(name, "Content-Length") == 0) {
                p->has_length = true;
        } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
                if (p->chunked || strcasecmp(value, "chunked") != 0)
                        return bad(p, 400, "unsupported_transfer_encoding", "send the body plain or chunked");
                p->chunked = true;
        } else if (strcasecmp(name, "Host") == 0) {
                p->has_host = true; /* also where the target has one: RFC 9112 3.2 */
        } else if (strcasecmp(name, "Expect") == 0) {
                p->expects = strcasecmp(value, "100-continue") == 0;
        }
        return hl_request_header(p->request, name, value, &p->problem) < 0 ? -1 : 0;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
        struct hl_parser *p = self(llhttp);
        hl_buf_trim(&p->value, " \t");
        int r = take_header(p, p->name.len ? p->name.data : "", p->value.len ? p->value.data : "");
        hl_buf_free(&p->name);
        hl_buf_free(&p->value);
        return r;
}

static int on_headers_complete(llhttp_t *llhttp)
{
        struct hl_parser *p = self(llhttp);
        bool http_1_1 = llhttp->http_major == 1 && llhttp->http_minor == 1;
        p->in_body = true;
        llhttp->upgrade = 0; /* no Upgrade is served: RFC 9110 7.8 lets us go on as if it had not been asked */
        if (llhttp->http_major != 1)
                return bad(p, 400, "unsupported_version", "speak HTTP/1.1 or HTTP/1.0");
        p->request->method = hl_method_parse(llhttp_method_name(llhttp_get_method(llhttp)));
        if (hl_request_target(p->request, p->target.len ? p->target.data : "", &p->problem) < 0)
                return -1;
        if (http_1_1 && !p->has_host)
                return bad(p, 400, "host_required", "HTTP/1.1 needs a Host header");
        /* Without a length, what HTTP/1.0 sends as a body cannot be told from its absence. */
        if (!http_1_1 && hl_method_has_body(p->request->method) && !p->has_length)
                return bad(p, 411, "length_required", "send a Content-Length with an HTTP/1.0 POST, 0 for none");
        if (!http_1_1 && p->chunked) /* its framing is not to be trusted: RFC 9112 6.1 */
                return bad(p, 400, "unsupported_transfer_encoding",
                           "HTTP/1.0 has no chunked bodies: send a Content-Length");
        if (p->has_length && llhttp->content_length > HL_REQUEST_BODY_MAX) {
                hl_refuse_large_body(&p->problem);
                return -1;
        }
        p->expects = p->expects && http_1_1 && (p->chunked || llhttp->content_length > 0);
        return 0;
}

static int on_body(llhttp_t *llhttp, const char *bytes, size_t len)
{
        struct hl_parser *p = self(llhttp);
        p->expects = false; /* it did not wait */
        if (hl_buf_add(&p->request->body, bytes, len) < 0) {
                hl_refuse_large_body(&p->problem);
                return -1;
        }
        return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
        self(llhttp)->complete = true;
        return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
        static llhttp_settings_t table;
        if (!table.on_url) {
                llhttp_settings_init(&table);
                table.on_url = on_url;
                table.on_header_field = on_header_field;
                table.on_header_value = on_header_value;
                table.on_header_value_complete = on_header_value_complete;
                table.on_headers_complete = on_headers_complete;
                table.on_body = on_body;
                table.on_message_complete = on_message_complete;
        }
        return &table;
}

struct hl_parser *hl_parser_new(struct hl_request *request)
{
        struct hl_parser *p = hl_alloc(sizeof(*p));
        llhttp_init(&p->llhttp, HTTP_REQUEST, settings());
        p->llhttp.data = p;
        p->request = request;
        p->target.max = HL_REQUEST_TARGET_MAX;
        return p;
}

struct hl_parser *hl_parser_free(struct hl_parser *p)
{
        if (!p)
                return NULL;
        hl_buf_free(&p->target);
        hl_buf_free(&p->name);
        hl_buf_free(&p->value);
        free(p);
        return NULL;
}

/* Whether a line of the head begins with a blank. llhttp takes it for the end of the line before, and others do not: so
 * it is refused, as RFC 9112 5.2 lets us. */
static bool is_folded(struct hl_parser *p, const char *bytes, size_t len)
{
        for (size_t i = 0; i < len && !p->head_over; i++) {
                if (!p->in_line && (bytes[i] == ' ' || bytes[i] == '\t'))
                        return true;
                p->head_over = bytes[i] == '\n' && !p->in_line && p->started;
                if (bytes[i] != '\r')
                        p->in_line = bytes[i] != '\n';
        }
        return false;
}

enum hl_parse hl_parser_feed(struct hl_parser *p, const char *bytes, size_t len, size_t *ret_used,
                             struct hl_problem *ret_problem)
{
        for (size_t i = 0; i < len && !p->started; i++) /* empty lines before a request are no request: RFC 9112 2.2 */
                p->started = bytes[i] != '\r' && bytes[i] != '\n';
        if (is_folded(p, bytes, len)) {
                hl_problem(ret_problem, 400, "bad_request", "each header must stand in one line, from its beginning");
                return HL_PARSE_BAD;
        }
        llhttp_errno_t error = llhttp_execute(&p->llhttp, bytes, len);
        if (p->complete && error == HPE_PAUSED) {
                *ret_used = (size_t)(llhttp_get_error_pos(&p->llhttp) - bytes);
                return HL_PARSE_COMPLETE;
        }
        if (error != HPE_OK) {
                struct hl_problem ignored = { 0 };
                if (!p->problem.status)
                        hl_problem(&p->problem, 400, "bad_request", "this is not a valid HTTP request: %s",
                                   llhttp_get_error_reason(&p->llhttp));
                *ret_problem = p->problem;
                if (!p->request->path && p->target.len) /* the path decides in which shape its client is told */
                        hl_request_target(p->request, p->target.data, &ignored);
                return HL_PARSE_BAD;
        }
        if (p->expects && p->in_body && !p->expect_told) {
                p->expect_told = true;
                return HL_PARSE_EXPECT;
        }
        return HL_PARSE_MORE;
}

bool hl_parser_started(const struct hl_parser *p)
{
        return p->started;
}

bool hl_parser_keeps_alive(const struct hl_parser *p)
{
        bool close = p->llhttp.flags & F_CONNECTION_CLOSE; /* which llhttp passes over in HTTP/1.0 */
        return p->complete && !close && llhttp_should_keep_alive(&p->llhttp);
}

bool hl_parser_is_http_1_1(const struct hl_parser *p)
{
        return p->llhttp.http_major == 1 && p->llhttp.http_minor == 1;
}
