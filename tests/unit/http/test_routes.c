/* SPDX-License-Identifier: MIT */
/* http/routes: from a request to its response, by the route table. */
#include "support.h"

#include "base/mem.h"
#include "http/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static unsigned runs; /* of any route */

static int run_list(struct hl_context *ctx)
{
        runs++;
        hl_json_set_string(ctx->reply, "app", ctx->service);
        return 0;
}

static int run_item(struct hl_context *ctx)
{
        runs++;
        hl_json_set_string(ctx->reply, "item", ctx->param);
        return 0;
}

static const struct hl_body_field change_body[] = {
        { { "count", HL_JSON_INTEGER, NULL, "1 to 9", 1, 9 }, 0 },
};

static const struct hl_parameter change_query[] = {
        { "wait", "How long", .choices = "job,none" },
        { "drain", "Any text" },
        { 0 },
};

static const struct hl_parameter switch_query[] = {
        { "wait", "How long", .choices = "job,none" },
        { 0 },
};

static int run_change(struct hl_context *ctx)
{
        int64_t count = 1;
        runs++;
        int r = hl_context_read_body(ctx, &count);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) char *wait = hl_context_parameter(ctx, "wait");
        hl_json_set_int(ctx->reply, "count", count);
        hl_json_set_string(ctx->reply, "wait", wait);
        if (wait && strcmp(wait, "none") == 0)
                ctx->status = 202;
        return 0;
}

static int run_text(struct hl_context *ctx)
{
        runs++;
        ctx->response->status = 200;
        ctx->response->content_type = "text/plain";
        return hl_buf_adds(&ctx->response->body, "text\n");
}

/* Fails with the kind that the path names. */
static int run_fail(struct hl_context *ctx)
{
        enum hl_err_kind kind = (enum hl_err_kind)atoi(ctx->param);
        runs++;
        hl_json_set_int(ctx->reply, "extra", 1);
        if (kind == HL_ERR_NONE)
                return -EIO; /* without an error of its own */
        return hl_fail(&ctx->err, kind, EACCES, "the_code", "the secret cause");
}

static const struct hl_route table[] = {
        { HL_GET, "/items", run_list, HL_SCOPE_READ, NULL, "All items" },
        { HL_GET, "/items/special", run_list, HL_SCOPE_READ, NULL, "A fixed one" },
        { HL_GET, "/items/{item}", run_item, HL_SCOPE_READ, NULL, "One item" },
        { HL_POST, "/items/{item}", run_change, HL_SCOPE_CONTROL, change_query, "Change an item",
          HL_BODY(change_body) },
        { HL_POST, "/items/{item}/start", run_item, HL_SCOPE_POWER, NULL, "Start an item" },
        { HL_GET, "/switch", run_list, HL_SCOPE_READ, NULL, "A resource" },
        { HL_POST, "/switch", run_change, HL_SCOPE_CONTROL, switch_query, "Set it",
          HL_ROUTE_RESOURCE | HL_ROUTE_ANY_TYPE, HL_BODY(change_body) },
        { HL_GET, "/v1/items", run_list, HL_SCOPE_READ, NULL, "Another API's", HL_ROUTE_FOREIGN },
        { HL_GET, "/v1/items/{item...}", run_item, HL_SCOPE_READ, NULL, "One of them", HL_ROUTE_FOREIGN },
        { HL_GET, "/text", run_text, HL_SCOPE_READ, NULL, "Not JSON" },
        { HL_GET, "/fail/{kind}", run_fail, HL_SCOPE_READ, NULL, "Fails" },
};

static const struct hl_routes routes = { "test-service", "Test Service", table, HL_COUNT(table) };

static int scope_of(void *data, const char *secret)
{
        (void)data;
        return (int)hl_scope_bits(secret);
}

static struct hl_err last_err;

static void ask(struct hl_response *response, enum hl_method method, const char *target, const char *type,
                const char *body, const char *token)
{
        static const struct hl_guard guard = { .trust_local = true, .scopes_of = scope_of };
        struct hl_request r;
        struct hl_problem problem;
        hl_request_init(&r);
        r.method = method;
        must(hl_request_target(&r, target, &problem) == 0);
        r.content_type = hl_strdup(type);
        if (body)
                hl_buf_adds(&r.body, body);
        r.peer = (struct hl_peer){ .local = !token, .name = "x" };
        r.authorization = token ? hl_format("Bearer %s", token) : NULL;
        *response = (struct hl_response){ 0 };
        hl_routes_answer(&routes, &guard, (void *)(uintptr_t) "app", &r, response, &last_err);
        hl_buf_add(&response->headers, "", 0);
        hl_buf_add(&response->body, "", 0);
        hl_request_free(&r);
}

static void expect(enum hl_method method, const char *target, int status, const char *body)
{
        struct hl_response response;
        ask(&response, method, target, NULL, NULL, NULL);
        if (response.status != status || !test_contains(&response.body, body))
                fail_msg("%s: %d %s", target, response.status, response.body.data);
        hl_response_free(&response);
}

static void routes_are_found(void **state)
{
        (void)state;
        expect(HL_GET, "/items", 200, "{\"status\":\"success\",\"app\":\"app\"}\n");
        assert_int_equal(last_err.kind, HL_ERR_NONE);
        expect(HL_GET, "/items/special", 200, "{\"status\":\"success\",\"app\":\"app\"}\n");
        expect(HL_GET, "/items/a%2Fb%20%C3%A9", 200, "\"item\":\"a/b \xC3\xA9\"");
        expect(HL_GET, "/i%74ems", 200, "\"app\"");
        expect(HL_POST, "/items/x/start", 200, "\"item\":\"x\"");
        expect(HL_GET, "/text", 200, "text\n");
        expect(HL_HEAD, "/items", 200, "\"app\""); /* the transport leaves the body out */
}

static void unknown_paths_are_404(void **state)
{
        (void)state;
        static const char *const unknown[] = { "/item",      "/items/", "/items/a/b",      "//items",
                                               "/items//",   "/Items",  "/items/a/start/", "/items/a/",
                                               "/items%2Fa", "/text/x", "/../items" };
        runs = 0;
        for (size_t i = 0; i < HL_COUNT(unknown); i++)
                expect(HL_GET, unknown[i], 404, "\"code\":\"unknown_route\"");
        expect(HL_POST, "/nothing", 404, "\"code\":\"unknown_route\"");
        expect(HL_OPTIONS, "/nothing", 404, "\"code\":\"unknown_route\"");
        expect(HL_GET, "*", 404, "\"code\":\"unknown_route\"");
        assert_int_equal(runs, 0);
        assert_string_equal(last_err.code, "unknown_route"); /* for the log */
}

static void expect_allow(enum hl_method method, const char *target, int status, const char *allow)
{
        struct hl_response response;
        ask(&response, method, target, NULL, NULL, NULL);
        assert_int_equal(response.status, status);
        char *header = hl_format("Allow: %s\r\n", allow);
        assert_string_equal(response.headers.data, header);
        free(header);
        if (status == 204)
                assert_int_equal(response.body.len, 0);
        else
                assert_true(test_contains(&response.body, "\"code\":\"method_not_allowed\""));
        hl_response_free(&response);
}

static void wrong_methods_are_405_with_allow(void **state)
{
        (void)state;
        runs = 0;
        expect_allow(HL_POST, "/items", 405, "GET, HEAD, OPTIONS");
        expect_allow(HL_METHOD_OTHER, "/items/x", 405, "GET, HEAD, POST, OPTIONS");
        expect_allow(HL_GET, "/items/x/start", 405, "POST, OPTIONS");
        expect_allow(HL_HEAD, "/items/x/start", 405, "POST, OPTIONS");
        expect_allow(HL_POST, "/items/special", 405, "GET, HEAD, OPTIONS");
        expect_allow(HL_POST, "/", 405, "GET, HEAD, OPTIONS");
        assert_int_equal(runs, 0);
}

static void options_says_allow(void **state)
{
        (void)state;
        runs = 0;
        expect_allow(HL_OPTIONS, "/items", 204, "GET, HEAD, OPTIONS");
        expect_allow(HL_OPTIONS, "/items/x", 204, "GET, HEAD, POST, OPTIONS");
        expect_allow(HL_OPTIONS, "/", 204, "GET, HEAD, OPTIONS");
        expect_allow(HL_OPTIONS, "*", 204, "GET, HEAD, POST, PUT, PATCH, OPTIONS");
        assert_int_equal(runs, 0);
}

static void index_lists_the_routes(void **state)
{
        (void)state;
        expect(HL_GET, "/", 200,
               "{\"status\":\"success\",\"service\":\"Test Service\",\"endpoints\":{\"GET /items\":\"All items\",");
        expect(HL_GET, "/", 200, "\"POST /items/{item}\":\"Change an item\"");
        expect(HL_HEAD, "/", 200, "\"service\"");
        expect(HL_GET, "/?x=1", 400, "unknown_parameter");
}

static void expect_token(enum hl_method method, const char *target, const char *token, int status, const char *body)
{
        struct hl_response response;
        ask(&response, method, target, NULL, NULL, token);
        if (response.status != status || !test_contains(&response.body, body))
                fail_msg("%s %s: %d %s", target, token, response.status, response.body.data);
        bool challenge = test_contains(&response.headers, "WWW-Authenticate: Bearer realm=\"home-lab-services\"\r\n");
        assert_true(challenge == (status == 401));
        hl_response_free(&response);
}

static void scopes_are_asked_for(void **state)
{
        (void)state;
        runs = 0;
        expect_token(HL_POST, "/items/x", "read", 403,
                     "this needs a token with the scope \\\"control\\\"; yours has \\\"read\\\"");
        expect_token(HL_POST, "/items/x/start", "control", 403, "\"code\":\"scope_too_small\"");
        expect_token(HL_GET, "/items", "wrong", 401, "\"code\":\"token_invalid\"");
        expect_token(HL_GET, "/nothing", "wrong", 401, "\"code\":\"token_invalid\""); /* the guard stands in front */
        assert_int_equal(runs, 0);
        expect_token(HL_GET, "/items", "read", 200, "success");
        expect_token(HL_POST, "/items/x", "control", 200, "success");
        expect_token(HL_GET, "/", "read", 200, "endpoints");
        assert_int_equal(runs, 2);
}

static void expect_body(const char *type, const char *body, int status, const char *answer)
{
        struct hl_response response;
        ask(&response, HL_POST, "/items/x", type, body, NULL);
        if (response.status != status || !test_contains(&response.body, answer))
                fail_msg("%s: %d %s", body, response.status, response.body.data);
        hl_response_free(&response);
}

static void bodies_are_json(void **state)
{
        (void)state;
        static const char json[] = "application/json";
        expect_body(NULL, NULL, 200, "\"count\":1");
        expect_body(NULL, "", 200, "\"count\":1");
        expect_body("text/plain", "", 200, "\"count\":1"); /* an empty body has no type to be wrong */
        expect_body(json, "{\"count\":2}", 200, "\"count\":2");
        expect_body("Application/JSON; charset=utf-8", "{}", 200, "\"count\":1");
        expect_body(json, "{\"count\":10}", 400, "\\\"count\\\" must be 1 to 9, not 10");
        expect_body(json, "{\"other\":1}", 400, "\\\"other\\\" is not a known key");
        assert_string_equal(last_err.code, "invalid_body");

        runs = 0;
        expect_body(NULL, "{}", 415, "\"code\":\"unsupported_media_type\"");
        expect_body("", "{}", 415, "\"code\":\"unsupported_media_type\"");
        expect_body("text/plain", "{}", 415, "\"code\":\"unsupported_media_type\"");
        expect_body("application/jsonx", "{}", 415, "\"code\":\"unsupported_media_type\"");
        expect_body("application/x-www-form-urlencoded", "count=2", 415, "\"code\":\"unsupported_media_type\"");
        expect_body(json, "{\"count\":2} x", 400, "\"code\":\"invalid_json\"");
        expect_body(json, "[]", 400, "\"code\":\"invalid_json\"");
        expect_body(json, "{\"count\":2,\"count\":3}", 400, "\"code\":\"duplicate_key\"");
        expect_body(json, "{\"count\":\"\xff\"}", 400, "\"code\":\"invalid_json\"");
        assert_int_equal(runs, 0);
}

static void query_parameters_are_known(void **state)
{
        (void)state;
        expect(HL_POST, "/items/x?wait=none", 202, "\"wait\":\"none\"");
        expect(HL_POST, "/items/x?wait=%6eone", 202, "\"wait\":\"none\"");
        expect(HL_POST, "/items/x?&drain=1&", 200, "\"wait\":null");
        expect(HL_POST, "/items/x?wait=now", 400, "\\\"wait\\\" must be one of: job,none");
        expect(HL_POST, "/items/x?wait=%zz", 400, "\"code\":\"invalid_parameter\"");
        expect(HL_POST, "/items/x?wait=", 400, "\"code\":\"invalid_parameter\"");
        runs = 0;
        expect(HL_POST, "/items/x?Wait=none", 400, "unknown query parameter \\\"Wait\\\"; known here: wait,drain");
        expect(HL_POST, "/items/x?drain", 400, "\\\"drain\\\" needs a value");
        expect(HL_POST, "/items/x?drain=1&wait=none&drain=2", 400, "send \\\"drain\\\" once");
        expect(HL_GET, "/items?x", 400, "unknown query parameter \\\"x\\\"; known here: none");
        assert_int_equal(runs, 0);
}

static void errors_become_answers(void **state)
{
        (void)state;
        static const enum hl_err_kind kinds[] = {
                HL_ERR_INVALID,  HL_ERR_FORBIDDEN, HL_ERR_NOT_FOUND, HL_ERR_CONFLICT,
                HL_ERR_UPSTREAM, HL_ERR_BUSY,      HL_ERR_TIMEOUT,   HL_ERR_INTERNAL
        };
        for (size_t i = 0; i < HL_COUNT(kinds); i++) {
                struct hl_response response;
                char *path = hl_format("/fail/%d", (int)kinds[i]);
                ask(&response, HL_GET, path, NULL, NULL, NULL);
                assert_int_equal(response.status, hl_status_of(kinds[i]));
                assert_true(test_contains(&response.body, "{\"status\":\"error\",\"extra\":1,\"code\":\"the_code\","));
                /* Of our own faults the client hears no cause: the log has it. */
                assert_true(test_contains(&response.body, "secret cause") == (kinds[i] != HL_ERR_INTERNAL));
                assert_string_equal(last_err.message, "the secret cause");
                assert_true(test_contains(&response.headers, "Retry-After: ") == (kinds[i] == HL_ERR_BUSY));
                hl_response_free(&response);
                free(path);
        }
        expect(HL_GET, "/fail/0", 500, "\"code\":\"internal_error\"");
        assert_int_equal(last_err.errnum, EIO);
}

static void the_rest_of_a_path_is_one_parameter(void **state)
{
        (void)state;
        expect(HL_GET, "/v1/items/x", 200, "\"item\":\"x\"");
        expect(HL_GET, "/v1/items/a/b/c", 200, "\"item\":\"a/b/c\"");
        expect(HL_GET, "/v1/items/a%2Fb/%63%20d", 200, "\"item\":\"a/b/c d\"");
        expect(HL_GET, "/v1/items/a//b", 200, "\"item\":\"a//b\"");
        expect(HL_GET, "/v1/items/a/b//", 200, "\"item\":\"a/b\"");
        expect(HL_GET, "/v1/items/a%2F/", 200, "\"item\":\"a/\"");
        expect(HL_GET, "/v1/items/a/../b", 200, "\"item\":\"a/../b\""); /* text, and no path of ours */
        expect(HL_HEAD, "/v1/items/a/b", 200, "\"item\":\"a/b\"");
        expect(HL_POST, "/v1/items/a/b", 405, "GET, HEAD, OPTIONS");
}

static void another_api_s_slashes_and_parameters_are_its_own(void **state)
{
        (void)state;
        static const char *const lists[] = { "/v1/items",         "/v1/items/",    "/v1/items//",
                                             "//v1/items",        "/v1///items",   "/v1/items?x",
                                             "/v1/items?a=1&a=2", "/v1/items?&=&", "/v1/items?a=%zz" };
        for (size_t i = 0; i < HL_COUNT(lists); i++)
                expect(HL_GET, lists[i], 200, "\"app\"");
        expect(HL_GET, "//v1//items//x?beta=true", 200, "\"item\":\"x\"");
        expect(HL_GET, "/items/", 404, "\"code\":\"unknown_route\""); /* ours are strict */
        expect(HL_GET, "//items", 404, "\"code\":\"unknown_route\"");
        expect(HL_GET, "/items?x=1", 400, "unknown query parameter");
}

static void a_resource_is_set_by_post_put_and_patch(void **state)
{
        (void)state;
        static const enum hl_method setting[] = { HL_POST, HL_PUT, HL_PATCH };
        for (size_t i = 0; i < HL_COUNT(setting); i++) {
                struct hl_response response;
                ask(&response, setting[i], "/switch", "application/json", "{\"count\":7}", NULL);
                assert_int_equal(response.status, 200);
                assert_true(test_contains(&response.body, "\"count\":7"));
                hl_response_free(&response);
                expect_token(setting[i], "/switch", "read", 403, "\"code\":\"scope_too_small\"");
        }
        expect_allow(HL_METHOD_OTHER, "/switch", 405, "GET, HEAD, POST, PUT, PATCH, OPTIONS");
        expect_allow(HL_OPTIONS, "/switch", 204, "GET, HEAD, POST, PUT, PATCH, OPTIONS");
        expect_allow(HL_PUT, "/items/x", 405, "GET, HEAD, POST, OPTIONS");
        expect_allow(HL_PATCH, "/items", 405, "GET, HEAD, OPTIONS");
}

static int status_of_typed(const char *target, const char *type, const char *origin, const char *site)
{
        static const struct hl_guard guard = { .trust_local = true };
        struct hl_response response = { 0 };
        struct hl_request r;
        struct hl_problem problem;
        hl_request_init(&r);
        r.method = HL_POST;
        must(hl_request_target(&r, target, &problem) == 0);
        r.content_type = hl_strdup(type);
        r.host = hl_strdup("localhost");
        r.origin = hl_strdup(origin);
        r.sec_fetch_site = hl_strdup(site);
        hl_buf_adds(&r.body, "{\"count\":7}");
        r.peer = (struct hl_peer){ .local = true, .name = "x" };
        hl_routes_answer(&routes, &guard, (void *)(uintptr_t) "app", &r, &response, &last_err);
        int status = response.status;
        hl_response_free(&response);
        hl_request_free(&r);
        return status;
}

/* text/plain, a form's type and none at all are what a page may send unasked. */
static void a_body_s_type_is_of_no_matter_to_a_resource_unless_a_page_sends_it(void **state)
{
        (void)state;
        static const char *const loose[] = { NULL,
                                             "",
                                             "text/plain",
                                             "text/plain;charset=UTF-8",
                                             "application/x-www-form-urlencoded",
                                             "application/jsonx" };
        static const char *const strict[] = { "application/json", "APPLICATION/JSON; charset=utf-8",
                                              "application/octet-stream" };
        for (size_t i = 0; i < HL_COUNT(loose); i++) {
                assert_int_equal(status_of_typed("/switch", loose[i], NULL, NULL), 200);
                assert_int_equal(status_of_typed("/switch", loose[i], "http://localhost", NULL), 415);
                assert_int_equal(status_of_typed("/switch", loose[i], NULL, "same-origin"), 415);
                assert_int_equal(status_of_typed("/switch", loose[i], "http://evil.example", NULL), 403);
                assert_int_equal(status_of_typed("/items/x", loose[i], NULL, NULL), 415);
        }
        for (size_t i = 0; i < HL_COUNT(strict); i++) {
                assert_int_equal(status_of_typed("/switch", strict[i], "http://localhost", "same-origin"), 200);
                assert_int_equal(status_of_typed("/items/x", strict[i], NULL, NULL), 200);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_rest_of_a_path_is_one_parameter),
                cmocka_unit_test(another_api_s_slashes_and_parameters_are_its_own),
                cmocka_unit_test(a_resource_is_set_by_post_put_and_patch),
                cmocka_unit_test(a_body_s_type_is_of_no_matter_to_a_resource_unless_a_page_sends_it),
                cmocka_unit_test(routes_are_found),
                cmocka_unit_test(unknown_paths_are_404),
                cmocka_unit_test(wrong_methods_are_405_with_allow),
                cmocka_unit_test(options_says_allow),
                cmocka_unit_test(index_lists_the_routes),
                cmocka_unit_test(scopes_are_asked_for),
                cmocka_unit_test(bodies_are_json),
                cmocka_unit_test(query_parameters_are_known),
                cmocka_unit_test(errors_become_answers),
        };
        return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
