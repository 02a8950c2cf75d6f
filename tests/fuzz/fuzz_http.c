/* SPDX-License-Identifier: MIT */
/* Bytes of a connection through the parser, the guard and a route: whole and in pieces, which must come to the same. */
#include "base/mem.h"
#include "http/parser.h"
#include "http/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hl_parameter query[] = { { "wait", "", .choices = "job,none" }, { 0 } };
static const struct hl_body_field body[] = { { { "count", HL_JSON_INTEGER, NULL, NULL, 0, 9 }, 0 } };

static int run_item(struct hl_context *ctx)
{
        int64_t count = 0;
        HL_CLEANUP(hl_free_pointer) char *wait = hl_context_parameter(ctx, "wait");
        if (ctx->body && hl_context_read_body(ctx, &count) < 0)
                return -EINVAL;
        hl_json_set_string(ctx->reply, "item", ctx->param);
        hl_json_set_string(ctx->reply, "wait", wait);
        hl_response_header(ctx->response, "X-Item", ctx->param);
        return 0;
}

static int scope_of(void *data, const char *secret)
{
        (void)data;
        return (int)strlen(secret) % 16;
}

static void answer(const struct hl_request *request)
{
        static const struct hl_route table[] = {
                { HL_GET, "/items/{item}", run_item, HL_SCOPE_READ, query, "" },
                { HL_POST, "/items/{item}", run_item, HL_SCOPE_CONTROL, query, "", HL_BODY(body) },
        };
        static const struct hl_routes routes = { "fuzz", "Fuzz", table, HL_COUNT(table) };
        static const char *const origins[] = { "http://a", "app://*", NULL };
        const struct hl_guard guard = { .origins = origins, .scopes_of = scope_of };
        struct hl_response response = { 0 };
        struct hl_buf head = { 0 };
        struct hl_err err;
        hl_routes_answer(&routes, &guard, NULL, request, &response, &err);
        hl_response_head(&response, request, HL_HEAD_HTTP, "close", &head);
        /* One empty line, and that at the end: nothing that was sent has added a header. */
        if (strstr(head.data, "\r\n\r\n") != head.data + head.len - 4)
                abort();
        hl_buf_free(&head);
        hl_response_free(&response);
}

/* All requests of the bytes, fed `step` at a time, as text. */
static void parse_all(const char *bytes, size_t len, size_t step, bool answer_them, struct hl_buf *out)
{
        enum hl_parse parse = HL_PARSE_COMPLETE;
        for (size_t at = 0; at < len && parse == HL_PARSE_COMPLETE;) {
                struct hl_request request;
                struct hl_problem problem = { 0 };
                hl_request_init(&request);
                struct hl_parser *parser = hl_parser_new(&request);
                do {
                        size_t n = step < len - at ? step : len - at, used = n;
                        parse = hl_parser_feed(parser, bytes + at, n, &used, &problem);
                        if (used > n)
                                abort();
                        at += used;
                } while (at < len && (parse == HL_PARSE_MORE || parse == HL_PARSE_EXPECT));
                if (parse == HL_PARSE_COMPLETE) {
                        hl_buf_addf(out, "%d %s %s %s %d\n", (int)request.method, request.path,
                                    request.query ? request.query : "-", request.host ? request.host : "-",
                                    hl_parser_keeps_alive(parser));
                        hl_buf_add(out, request.body.data, request.body.len);
                        if (request.body.len > HL_REQUEST_BODY_MAX)
                                abort();
                        if (answer_them)
                                answer(&request);
                } else if (parse == HL_PARSE_BAD) {
                        hl_buf_addf(out, "bad %d\n", problem.status);
                }
                hl_parser_free(parser);
                hl_request_free(&request);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1)
                return 0;
        struct hl_buf whole = { 0 }, pieces = { 0 };
        const char *bytes = (const char *)data + 1;
        parse_all(bytes, size - 1, size, true, &whole);
        parse_all(bytes, size - 1, data[0] % 16 + 1u, false, &pieces);
        if (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0)) {
                fprintf(stderr, "whole:\n%s\nin pieces:\n%s\n", whole.data, pieces.data);
                abort();
        }
        hl_buf_free(&whole);
        hl_buf_free(&pieces);
        return 0;
}
