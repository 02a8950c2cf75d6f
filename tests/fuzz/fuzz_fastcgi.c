/* SPDX-License-Identifier: MIT */
/* A request by FastCGI. "R": bytes as they come; else lines NAME=VALUE, an empty one, and a body: of the same variables
 * a CGI program makes the same answer. */
#include "fuzz.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "http/routes.h"
#include "transport/cgi.h"
#include "transport/fastcgi_request.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BEGIN = 1, PARAMS = 4, STDIN = 5, STDOUT = 6 };
#define SIZE_MAX_SENT 60000 /* bytes: a socket takes them before anybody reads */

/* libfcgi loses memory where a name and its value are not whole. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
        return "leak:libfcgi\n";
}

/* Every request has the same id, so that answers can be compared. */
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
        (void)flags;
        memset(bytes, 7, size);
        return (ssize_t)size;
}

static const struct hl_parameter query[] = { { "wait", "", .choices = "job,none" }, { 0 } };

static int run_item(struct hl_context *ctx)
{
        hl_json_set_string(ctx->reply, "item", ctx->param);
        hl_json_set(ctx->reply, "body", hl_json_ref(ctx->body));
        hl_json_set_bool(ctx->reply, "is_local", ctx->request->peer.local);
        hl_json_set_string(ctx->reply, "peer", ctx->request->peer.name);
        return 0;
}

static int scope_of(void *data, const char *secret)
{
        (void)data;
        return (int)strlen(secret) % 16;
}

static void answer(const void *service, const struct hl_request *request, struct hl_response *response)
{
        static const struct hl_route table[] = { { HL_POST, "/items/{item}", run_item, HL_SCOPE_CONTROL, query, "" } };
        static const struct hl_routes routes = { "fuzz", "Fuzz", table, HL_COUNT(table) };
        static const char *const origins[] = { "http://a", "app://*", NULL };
        const struct hl_guard guard = { .origins = origins, .scopes_of = scope_of };
        struct hl_err err;
        (void)service;
        hl_routes_answer(&routes, &guard, NULL, request, response, &err);
}

static const struct hl_server server = { .name = "fuzz", .answer = answer };

/* ---- the same by CGI ---- */

struct variables {
        char **items; /* "NAME=VALUE" */
        size_t count;
        struct fuzz_input body;
};

static const char *get(void *data, const char *name)
{
        const struct variables *v = data;
        for (size_t i = 0, len = strlen(name); i < v->count; i++)
                if (strncmp(v->items[i], name, len) == 0 && v->items[i][len] == '=')
                        return v->items[i] + len + 1;
        return NULL;
}

static int read_body(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        const struct variables *v = data;
        if (v->body.left < len)
                return hl_refuse_incomplete(problem);
        return len > 0 ? hl_buf_add(body, v->body.data, len) : 0;
}

static int write_nothing(void *data, const void *bytes, size_t len)
{
        (void)data;
        (void)bytes;
        (void)len;
        return 0;
}

/* ---- by FastCGI ---- */

static const char *get_parameter(void *data, const char *name)
{
        return hl_fastcgi_get(data, name);
}

static int read_stream(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        while (body->len < len) {
                char bytes[1000];
                size_t n =
                        hl_fastcgi_body(data, bytes, len - body->len < sizeof(bytes) ? len - body->len : sizeof(bytes));
                if (n == 0)
                        return hl_refuse_incomplete(problem);
                hl_buf_add(body, bytes, n);
        }
        return 0;
}

/* The text of the STDOUT records. */
static void receive(int fd, struct hl_buf *text)
{
        struct hl_buf bytes = { 0 };
        char piece[4096];
        for (ssize_t n; (n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0;)
                hl_buf_add(&bytes, piece, (size_t)n);
        for (size_t at = 0, len; at + 8 <= bytes.len; at += 8 + len) {
                const uint8_t *record = (const uint8_t *)bytes.data + at;
                len = (size_t)record[4] << 8 | record[5];
                fuzz_must(record[0] == 1 && at + 8 + len + record[6] <= bytes.len);
                if (record[1] == STDOUT)
                        hl_buf_add(text, record + 8, len);
                len += record[6];
        }
        hl_buf_free(&bytes);
}

/* Whether there was a request. */
static bool serve(const struct hl_buf *sent, struct hl_buf *text)
{
        int fds[2];
        fuzz_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        fuzz_must(send(fds[0], sent->data, sent->len, MSG_DONTWAIT) == (ssize_t)sent->len);
        shutdown(fds[0], SHUT_WR);
        struct hl_fastcgi_request *request = hl_fastcgi_read(fds[1], HL_USEC_PER_SEC);
        if (request) {
                const struct hl_cgi_source source = { get_parameter, read_stream, request };
                const struct hl_stream stream = { write_nothing, NULL, -1, -1 };
                struct hl_buf out = { 0 };
                hl_cgi_answer(&server, &source, &stream, &out);
                hl_fastcgi_finish(request, out.data, out.len);
                receive(fds[0], text);
                fuzz_must(text->len == out.len && memcmp(text->data, out.data, out.len) == 0);
                hl_buf_free(&out);
        }
        close(fds[0]);
        return request != NULL;
}

static void put_record(struct hl_buf *out, uint8_t type, const void *bytes, size_t len, uint8_t padding)
{
        const uint8_t header[8] = { 1, type, 0, 1, (uint8_t)(len >> 8), (uint8_t)len, padding, 0 };
        hl_buf_add(out, header, sizeof(header));
        if (len > 0)
                hl_buf_add(out, bytes, len);
        if (padding > 0)
                hl_buf_add(out, "padding", padding);
}

static void put_stream(struct hl_buf *out, uint8_t type, const void *bytes, size_t len, uint8_t how)
{
        size_t most = how & 0xF0 ? (how >> 4) * 7u : 60000;
        for (size_t at = 0; at < len; at += most)
                put_record(out, type, (const char *)bytes + at, len - at < most ? len - at : most, how & 7);
        put_record(out, type, "", 0, 0);
}

static void put_length(struct hl_buf *out, size_t len, bool is_long)
{
        const uint8_t whole[4] = { (uint8_t)(len >> 24 | 0x80), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                   (uint8_t)len };
        if (is_long || len > 127)
                hl_buf_add(out, whole, 4);
        else
                hl_buf_add(out, whole + 3, 1);
}

static void put_request(struct hl_buf *out, const struct variables *v, uint8_t how)
{
        struct hl_buf parameters = { 0 };
        for (size_t i = 0; i < v->count; i++) {
                size_t name = strcspn(v->items[i], "="), value = strlen(v->items[i]) - name - 1;
                put_length(&parameters, name, how & 8);
                put_length(&parameters, value, how & 8);
                hl_buf_add(&parameters, v->items[i], name);
                hl_buf_add(&parameters, v->items[i] + name + 1, value);
        }
        put_record(out, BEGIN, "\0\1\0\0\0\0\0\0", 8, 0);
        put_stream(out, PARAMS, parameters.data, parameters.len, how);
        put_stream(out, STDIN, v->body.data, v->body.left, how);
        hl_buf_free(&parameters);
}

static void compare(struct fuzz_input *input, uint8_t how)
{
        struct variables v = { 0 };
        const char *line;
        size_t len;
        while (fuzz_line(input, &line, &len) && len > 0) {
                if (*line == '=' || !memchr(line, '=', len) || memchr(line, '\0', len))
                        continue;
                v.items = hl_grow(v.items, v.count + 1, sizeof(*v.items));
                v.items[v.count++] = hl_strndup(line, len);
        }
        v.body = *input;
        struct hl_buf sent = { 0 }, out = { 0 }, text = { 0 };
        const struct hl_cgi_source source = { get, read_body, &v };
        const struct hl_stream stream = { write_nothing, NULL, -1, -1 };
        put_request(&sent, &v, how);
        hl_cgi_answer(&server, &source, &stream, &out);
        if (sent.len <= SIZE_MAX_SENT) {
                fuzz_must(serve(&sent, &text));
                fuzz_must(text.len == out.len && memcmp(text.data, out.data, out.len) == 0);
        }
        for (size_t i = 0; i < v.count; i++)
                free(v.items[i]);
        free(v.items);
        hl_buf_free(&sent);
        hl_buf_free(&out);
        hl_buf_free(&text);
}

/* libfcgi ends its program where the lengths of a name and its value are together more than an int: so no byte makes
 * one of more than 24 bits. */
static void try_raw(const struct fuzz_input *input)
{
        struct hl_buf sent = { 0 }, text = { 0 };
        for (size_t i = 0; i < input->left && i < SIZE_MAX_SENT; i++) {
                uint8_t byte = input->data[i] > 0x80 ? 0x80 : input->data[i];
                hl_buf_add(&sent, &byte, 1);
        }
        if (sent.len > 0)
                serve(&sent, &text);
        hl_buf_free(&sent);
        hl_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static bool begun;
        struct fuzz_input input = { data, size };
        if (!begun)
                fuzz_must(hl_fastcgi_init() == 0);
        begun = true;
        uint8_t how = fuzz_byte(&input);
        if (how == 'R')
                try_raw(&input);
        else
                compare(&input, how);
        return 0;
}
