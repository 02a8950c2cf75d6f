/* SPDX-License-Identifier: MIT */
/* http/routes: what pages that came from elsewhere, clients of the OpenAI API and bearers of a small scope are told. */
#include "support.h"

#include "base/mem.h"
#include "http/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned runs;

static int run_ok(struct hl_context *ctx)
{
        (void)ctx;
        runs++;
        return 0;
}

static int run_fail(struct hl_context *ctx)
{
        hl_json_set_string(ctx->reply, "object", "list"); /* what stood there before it failed */
        enum hl_err_kind kind = strcmp(ctx->param, "missing") == 0 ? HL_ERR_NOT_FOUND
                                : strcmp(ctx->param, "busy") == 0  ? HL_ERR_BUSY
                                                                   : HL_ERR_INTERNAL;
        return hl_fail(&ctx->err, kind, EACCES, "the_code", "the sentence");
}

static const struct hl_route table[] = {
        { HL_GET, "/items", run_ok, HL_SCOPE_READ, NULL, "" },
        { HL_POST, "/items", run_ok, HL_SCOPE_CONTROL, NULL, "" },
        { HL_GET, "/v1/models", run_ok, HL_SCOPE_READ | HL_SCOPE_USE, NULL, "" },
        { HL_POST, "/v1/models", run_ok, HL_SCOPE_POWER, NULL, "" },
        { HL_GET, "/v1/fail/{kind}", run_fail, HL_SCOPE_READ, NULL, "" },
};

static const struct hl_routes routes = { "test-service", "Test Service", table, HL_COUNT(table) };

static int scopes_of(void *data, const char *secret)
{
        (void)data;
        return strcmp(secret, "broken") == 0 ? -EIO : (int)hl_scope_bits(secret);
}

struct ask {
        enum hl_method method;
        const char *target, *token, *origin, *host, *asks, *type, *encoding, *body;
};

static void answer(const struct ask *ask, struct hl_response *response)
{
        static const char *const origins[] = { "app://chat", NULL };
        static const struct hl_guard guard = { .trust_local = true, .origins = origins, .scopes_of = scopes_of };
        struct hl_request r;
        struct hl_problem problem;
        struct hl_err err;
        hl_request_init(&r);
        r.method = ask->method;
        must(hl_request_target(&r, ask->target, &problem) == 0);
        r.peer = (struct hl_peer){ .local = !ask->token, .name = "192.0.2.1" };
        r.authorization = ask->token && *ask->token ? hl_format("Bearer %s", ask->token) : NULL;
        r.origin = hl_strdup(ask->origin);
        r.host = hl_strdup(ask->host);
        r.ac_request_method = hl_strdup(ask->asks);
        r.content_type = hl_strdup(ask->type);
        r.content_encoding = hl_strdup(ask->encoding);
        if (ask->body)
                hl_buf_adds(&r.body, ask->body);
        *response = (struct hl_response){ 0 };
        hl_routes_answer(&routes, &guard, NULL, &r, response, &err);
        hl_buf_add(&response->headers, "", 0);
        hl_buf_add(&response->body, "", 0);
        hl_request_free(&r);
}

static void expect(const struct ask *ask, int status, const char *body)
{
        struct hl_response response;
        answer(ask, &response);
        if (response.status != status || !test_contains(&response.body, body))
                fail_msg("%s: %d %s", ask->target, response.status, response.body.data);
        hl_response_free(&response);
}

static void below_v1_every_error_is_openais(void **state)
{
        (void)state;
        static const struct {
                struct ask ask;
                int status;
                const char *type, *code;
        } cases[] = {
                { { HL_GET, "/v1/models", "wrong" }, 401, "authentication_error", "token_invalid" },
                { { HL_GET, "/v1/models", "" }, 401, "authentication_error", "token_required" },
                { { HL_GET, "/v1/models", "broken" }, 500, "server_error", "internal_error" },
                { { HL_POST, "/v1/models", "read" }, 403, "permission_error", "scope_too_small" },
                { { HL_GET, "/v1/models", .host = "evil.example" }, 403, "permission_error", "host_not_allowed" },
                { { HL_POST, "/v1/models", .origin = "http://e" }, 403, "permission_error", "foreign_origin" },
                { { HL_GET, "/v1" }, 404, "invalid_request_error", "unknown_route" },
                { { HL_GET, "/v1/" }, 404, "invalid_request_error", "unknown_route" },
                { { HL_GET, "//v1/nothing" }, 404, "invalid_request_error", "unknown_route" },
                { { HL_GET, "///v1//nothing" }, 404, "invalid_request_error", "unknown_route" },
                { { HL_GET, "/%761/nothing" }, 404, "invalid_request_error", "unknown_route" },
                { { HL_METHOD_OTHER, "/v1/models" }, 405, "invalid_request_error", "method_not_allowed" },
                { { HL_GET, "/v1/fail/busy?x=1" }, 400, "invalid_request_error", "unknown_parameter" },
                { { HL_POST, "/v1/models", .body = "x" }, 415, "invalid_request_error", "unsupported_media_type" },
                { { HL_GET, "/v1/fail/missing" }, 404, "invalid_request_error", "the_code" },
                { { HL_GET, "/v1/fail/busy" }, 503, "server_error", "the_code" },
                { { HL_GET, "/v1/fail/us" }, 500, "server_error", "the_code" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                char *rest = hl_format("\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}\n", cases[i].type,
                                       cases[i].code);
                expect(&cases[i].ask, cases[i].status, "{\"error\":{\"message\":\"");
                expect(&cases[i].ask, cases[i].status, rest);
                free(rest);
        }
}

static void elsewhere_errors_are_ours(void **state)
{
        (void)state;
        static const char *const targets[] = { "/v1x",           "/v",          "/v11/models", "/V1/models",
                                               "/api/v1/models", "/v1%2Fmodels" };
        for (size_t i = 0; i < HL_COUNT(targets); i++)
                expect(&(struct ask){ HL_GET, targets[i] }, 404, "{\"status\":\"error\",\"code\":\"unknown_route\",");
        expect(&(struct ask){ HL_GET, "/items", "" }, 403, "\"code\":\"token_required\"");
}

static void a_route_takes_any_of_its_scopes(void **state)
{
        (void)state;
        static const struct {
                struct ask ask;
                int status;
        } cases[] = {
                { { HL_GET, "/v1/models", "use" }, 200 },   { { HL_GET, "/v1/models", "read" }, 200 },
                { { HL_GET, "/v1/models", "power" }, 200 }, { { HL_GET, "/items", "read" }, 200 },
                { { HL_GET, "/items", "use" }, 403 },       { { HL_GET, "/items", "control" }, 200 },
                { { HL_POST, "/items", "use" }, 403 },      { { HL_POST, "/items", "read" }, 403 },
                { { HL_POST, "/items", "power" }, 200 },    { { HL_POST, "/v1/models", "control" }, 403 },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect(&cases[i].ask, cases[i].status, cases[i].status == 200 ? "success" : "scope_too_small");
        expect(&(struct ask){ HL_GET, "/items", "use" }, 403,
               "this needs a token with the scope \\\"read\\\"; yours has \\\"use\\\"");
}

/* What a browser needs to give the answer to the page; nothing for pages that are not named. */
static void expect_cors(const struct ask *ask, int status, bool readable)
{
        struct hl_response response;
        answer(ask, &response);
        bool allowed = test_contains(&response.headers, "Access-Control-Allow-Origin: app://chat\r\n") &&
                       test_contains(&response.headers, "Vary: Origin\r\n") &&
                       test_contains(&response.headers, "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n");
        if (response.status != status || allowed != readable ||
            (!readable && test_contains(&response.headers, "Access-Control-")))
                fail_msg("%s of %s: %d %s", ask->target, ask->origin, response.status, response.headers.data);
        hl_response_free(&response);
}

static void a_named_page_reads_every_answer(void **state)
{
        (void)state;
        static const char page[] = "app://chat";
        runs = 0;
        expect_cors(&(struct ask){ HL_GET, "/items", .origin = page }, 200, true);
        expect_cors(&(struct ask){ HL_POST, "/items", .origin = page }, 200, true);
        expect_cors(&(struct ask){ HL_POST, "/items", "control", page }, 200, true);
        assert_int_equal(runs, 3);
        expect_cors(&(struct ask){ HL_POST, "/items", "read", page }, 403, true);
        expect_cors(&(struct ask){ HL_GET, "/items", "", page }, 403, true);
        expect_cors(&(struct ask){ HL_GET, "/items", "wrong", page }, 401, true);
        expect_cors(&(struct ask){ HL_GET, "/items", "broken", page }, 500, true);
        expect_cors(&(struct ask){ HL_GET, "/nothing", .origin = page }, 404, true);
        expect_cors(&(struct ask){ HL_METHOD_OTHER, "/items", .origin = page }, 405, true);
        expect_cors(&(struct ask){ HL_GET, "/v1/fail/busy", .origin = page }, 503, true);
        expect_cors(&(struct ask){ HL_GET, "/items", .origin = page, .host = "evil.example" }, 403, true);
        expect_cors(&(struct ask){ HL_OPTIONS, "/items", .origin = page }, 204, true);
        assert_int_equal(runs, 3);
}

static void other_pages_read_nothing(void **state)
{
        (void)state;
        static const char *const pages[] = { NULL, "null", "app://chats", "http://localhost" };
        for (size_t i = 0; i < HL_COUNT(pages); i++) {
                const char *page = pages[i];
                expect_cors(&(struct ask){ HL_GET, "/items", .origin = page, .host = "localhost" }, 200, false);
                expect_cors(&(struct ask){ HL_GET, "/items", "wrong", page }, 401, false);
                expect_cors(&(struct ask){ HL_GET, "/nothing", .origin = page }, 404, false);
        }
}

static void a_preflight_needs_no_token(void **state)
{
        (void)state;
        static const char *const tokens[] = { NULL, "", "wrong", "broken" };
        static const char *const targets[] = { "/items", "/v1/models", "/nothing", "/", "*" };
        runs = 0;
        for (size_t i = 0; i < HL_COUNT(tokens); i++)
                for (size_t k = 0; k < HL_COUNT(targets); k++) {
                        expect_cors(&(struct ask){ HL_OPTIONS, targets[k], tokens[i], "app://chat", .asks = "POST" },
                                    204, true);
                        expect_cors(&(struct ask){ HL_OPTIONS, targets[k], tokens[i], "http://evil", .asks = "POST" },
                                    403, false);
                }
        expect_cors(&(struct ask){ HL_OPTIONS, "/items", .origin = "app://chat", .host = "evil", .asks = "POST" }, 403,
                    true);
        expect_cors(&(struct ask){ HL_OPTIONS, "/items", "", "app://chat" }, 403, true); /* it asks for nothing */
        expect_cors(&(struct ask){ HL_OPTIONS, "/items", "wrong", "http://localhost", "localhost", "POST" }, 401,
                    false);
        assert_int_equal(runs, 0);
}

static void a_compressed_body_is_refused_by_name(void **state)
{
        (void)state;
        static const char json[] = "application/json";
        static const char *const encodings[] = { "gzip", "zstd", "br", "gzip, identity" };
        runs = 0;
        for (size_t i = 0; i < HL_COUNT(encodings); i++)
                expect(&(struct ask){ HL_POST, "/items", .type = json, .encoding = encodings[i], .body = "\x1f\x8b" },
                       415, "\"code\":\"unsupported_content_encoding\"");
        assert_int_equal(runs, 0);
        expect(&(struct ask){ HL_POST, "/items", .type = json, .encoding = "Identity", .body = "{}" }, 200, "success");
        expect(&(struct ask){ HL_POST, "/items", .encoding = "gzip" }, 200, "success"); /* no body has no encoding */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(below_v1_every_error_is_openais),
                cmocka_unit_test(elsewhere_errors_are_ours),
                cmocka_unit_test(a_route_takes_any_of_its_scopes),
                cmocka_unit_test(a_named_page_reads_every_answer),
                cmocka_unit_test(other_pages_read_nothing),
                cmocka_unit_test(a_preflight_needs_no_token),
                cmocka_unit_test(a_compressed_body_is_refused_by_name),
        };
        return cmocka_run_group_tests_name("service_access", tests, NULL, NULL);
}
