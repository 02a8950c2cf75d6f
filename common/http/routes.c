/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "content.h"
#include "cors.h"
#include "openapi.h"
#include "parameters.h"

#include <errno.h>
#include <string.h>

/* ---- what every service has ---- */

static int run_index(struct hl_context *ctx)
{
        hl_json *endpoints = hl_json_new();
        const struct hl_route *route;
        for (size_t i = 0; (route = hl_routes_at(ctx->routes, i)); i++) {
                HL_CLEANUP(hl_free_pointer) char *key = hl_format("%s %s", hl_method_name(route->method), route->path);
                if (route != ctx->route)
                        hl_json_set_string(endpoints, key, route->summary);
        }
        hl_json_set_string(ctx->reply, "service", ctx->routes->title);
        hl_json_set(ctx->reply, "endpoints", endpoints);
        hl_json_set_string(ctx->reply, "version", HL_VERSION);
        return 0;
}

static int run_description(struct hl_context *ctx)
{
        hl_json_free(ctx->reply);
        ctx->reply = hl_openapi_document(ctx->routes, ctx->request->shares_origin);
        return 0;
}

static const struct hl_reply_field index_reply[] = {
        { "service", HL_REPLY_STRING, "The service's title" },
        { "endpoints", HL_REPLY_STRING | HL_REPLY_BY_NAME, "By method and path, what each route is for" },
        { "version", HL_REPLY_STRING, "Of Home Lab Services" },
        { 0 },
};

static const struct hl_reply_field any_reply[] = { { 0 } };

static const struct hl_route own[] = {
        { HL_GET, "/openapi.json", run_description, HL_SCOPE_ALL, NULL, "All routes for programs, as OpenAPI 3.1",
          HL_ROUTE_BARE, .reply = any_reply },
        { HL_GET, "/", run_index, HL_SCOPE_ALL, NULL, "The version of this service, and its routes",
          .reply = index_reply },
};

const struct hl_route *hl_routes_at(const struct hl_routes *routes, size_t index)
{
        if (index < routes->count)
                return &routes->items[index];
        index -= routes->count;
        return index < HL_COUNT(own) ? &own[index] : NULL;
}

/* ---- a route is found ---- */

static bool serves(const struct hl_route *route, enum hl_method method)
{
        return route->method == method || (route->method == HL_GET && method == HL_HEAD) ||
               ((route->flags & HL_ROUTE_RESOURCE) && (method == HL_PUT || method == HL_PATCH));
}

static bool is_rest(const char *pattern, size_t len)
{
        return len > 4 && memcmp(pattern + len - 4, "...}", 4) == 0;
}

/* The path without the slashes at its end. */
static size_t rest_length(const char *path)
{
        size_t len = strlen(path);
        while (len > 0 && path[len - 1] == '/')
                len--;
        return len;
}

/* Whether a path fits a route's. *ret_param: what stands for {…}, decoded, if any; free(). */
static bool path_fits(const struct hl_route *route, const char *path, char **ret_param)
{
        HL_CLEANUP(hl_free_pointer) char *param = NULL;
        const char *pattern = route->path;
        bool foreign = route->flags & HL_ROUTE_FOREIGN;
        while (*pattern == '/' && *path == '/') {
                pattern++;
                path += foreign ? strspn(path, "/") : 1;
                size_t pattern_len = strcspn(pattern, "/");
                size_t path_len = is_rest(pattern, pattern_len) ? rest_length(path) : strcspn(path, "/");
                HL_CLEANUP(hl_free_pointer) char *segment = NULL;
                if (hl_percent_decode(path, path_len, &segment) < 0)
                        return false;
                if (*pattern == '{' && *segment)
                        param = hl_steal(segment);
                else if (strlen(segment) != pattern_len || memcmp(segment, pattern, pattern_len) != 0)
                        return false;
                pattern += pattern_len;
                path += path_len;
        }
        if (foreign)
                path += strspn(path, "/");
        if (*pattern || *path)
                return false;
        *ret_param = hl_steal(param);
        return true;
}

/* Adds the Allow header, and returns what it says; free(). Pattern NULL: of the whole service. */
static char *add_allow(const struct hl_routes *routes, const char *pattern, struct hl_response *response)
{
        bool get = false, post = !pattern, put = false;
        const struct hl_route *route;
        for (size_t i = 0; (route = hl_routes_at(routes, i)); i++) {
                if (pattern && strcmp(route->path, pattern) != 0)
                        continue;
                get = get || route->method == HL_GET;
                post = post || route->method == HL_POST;
                put = put || (route->flags & HL_ROUTE_RESOURCE);
        }
        char *allow =
                hl_format("%s%s%sOPTIONS", get ? "GET, HEAD, " : "", post ? "POST, " : "", put ? "PUT, PATCH, " : "");
        hl_response_header(response, "Allow", allow);
        return allow;
}

/* JSON, or bytes of which nothing is said, as aiohttp names them: neither is sent by a page that was not asked
 * first. */
static bool is_json_type(const char *content_type)
{
        return hl_content_is_json(content_type) || hl_content_is(content_type, "application/octet-stream");
}

/* A browser marks what a page sends. Text of a page's could come from a form of any other's. */
static bool is_from_a_page(const struct hl_request *request)
{
        return request->origin || request->sec_fetch_site;
}

/* *ret_body: {} for an empty body. */
static int read_body(const struct hl_request *request, bool any_type, hl_json **ret_body, struct hl_problem *problem)
{
        struct hl_err err = { 0 };
        if (request->body.len == 0) {
                *ret_body = hl_json_new();
                return 0;
        }
        if (!hl_content_is_unencoded(request->content_encoding)) {
                hl_content_refuse_encoding(request->content_encoding, &err);
                *problem = hl_problem_of(&err);
                return -EINVAL;
        }
        bool known = is_json_type(request->content_type);
        if (!known && (!any_type || is_from_a_page(request)))
                return hl_problem(problem, 415, "unsupported_media_type",
                                  "send the body as Content-Type: application/json");
        /* A byte order mark, as .NET writes it, says nothing more: RFC 8259 8.1. */
        size_t mark = hl_has_prefix(request->body.data, "\xEF\xBB\xBF") ? 3 : 0;
        if (hl_json_parse(request->body.data + mark, request->body.len - mark, ret_body, &err) < 0)
                return hl_problem(problem, 400, err.code, "the body is not valid: %.200s", err.message);
        return 0;
}

/* An error's answer keeps what the route has added, unless its client knows OpenAI's errors alone. */
static void answer_error(struct hl_context *ctx)
{
        const struct hl_problem problem = hl_problem_of(&ctx->err);
        if (ctx->err.kind == HL_ERR_BUSY)
                hl_response_header(ctx->response, "Retry-After", "2");
        if (hl_request_is_openai(ctx->request)) {
                hl_response_problem(ctx->response, ctx->request, &problem);
                return;
        }
        hl_error_fill(ctx->reply, &problem);
        hl_response_json(ctx->response, problem.status, hl_json_ref(ctx->reply));
}

static void run_route(struct hl_context *ctx)
{
        ctx->status = 200;
        ctx->reply = hl_json_new();
        hl_json_set_string(ctx->reply, "status", "success");
        int r = ctx->route->run(ctx);
        if (r >= 0) {
                if (!ctx->response->status) /* the route may have written a response that is not JSON */
                        hl_response_json(ctx->response, ctx->status, hl_json_ref(ctx->reply));
                return;
        }

        hl_fail(&ctx->err, HL_ERR_INTERNAL, -r, "internal_error", "%s", strerror(-r));
        answer_error(ctx);
}

struct match {
        const char *pattern;          /* of the resource; NULL: no such path */
        const struct hl_route *route; /* of the method; NULL: not served */
        char *param;
};

static struct match find(const struct hl_routes *routes, const struct hl_request *request)
{
        struct match match = { 0 };
        const struct hl_route *route;
        for (size_t i = 0; !match.pattern && (route = hl_routes_at(routes, i)); i++)
                if (path_fits(route, request->path, &match.param))
                        match.pattern = route->path;
        for (size_t i = 0; match.pattern && !match.route && (route = hl_routes_at(routes, i)); i++)
                if (strcmp(route->path, match.pattern) == 0 && serves(route, request->method))
                        match.route = route;
        return match;
}

/* The steps between a request and its answer: each returns 1 where the next one follows, 0 where the request has its
 * answer, or -EINVAL and a problem. */

/* Whether the page and the peer may ask here, and what for. */
static int admit(const struct hl_guard *guard, struct hl_context *ctx, unsigned *ret_scopes, struct hl_problem *problem)
{
        const struct hl_request *request = ctx->request;
        bool named = hl_guard_page(guard, request) == HL_PAGE_NAMED;
        if (named)
                hl_cors_add(request, ctx->response);
        int r = hl_guard_admit_page(guard, request, problem);
        if (r < 0)
                return r;
        if (named && hl_cors_is_preflight(request)) {
                hl_cors_preflight(request, ctx->response);
                return 0;
        }
        r = hl_guard_admit_peer(guard, request, ret_scopes, problem);
        if (r < 0 && problem->status == 401)
                hl_response_ask_token(ctx->response);
        return r < 0 ? r : 1;
}

/* Whether a route is meant, and this method of it is served to these scopes. */
static int choose(const struct hl_routes *routes, const struct match *match, unsigned scopes, struct hl_context *ctx,
                  struct hl_problem *problem)
{
        const struct hl_request *request = ctx->request;
        HL_CLEANUP(hl_free_pointer) char *allow = NULL;
        bool any = request->method == HL_OPTIONS && strcmp(request->path, "*") == 0;
        if (!match->pattern && !any)
                return hl_problem(problem, 404, "unknown_route", "there is nothing here: GET / lists what there is");
        if (request->method == HL_OPTIONS) {
                allow = add_allow(routes, match->pattern, ctx->response);
                ctx->response->status = 204;
                return 0;
        }
        if (!match->route) {
                allow = add_allow(routes, match->pattern, ctx->response);
                return hl_problem(problem, 405, "method_not_allowed", "this path knows only %s", allow);
        }
        if (!(scopes & match->route->scope))
                return hl_guard_refuse_scope(request, match->route->scope, scopes, problem);
        return 1;
}

/* Reads what the route takes, and runs it. */
static int run(struct hl_context *ctx, struct hl_problem *problem)
{
        unsigned flags = ctx->route->flags;
        int r = flags & HL_ROUTE_FOREIGN ? 0 : hl_parameters_check(ctx->request, ctx->route->query, problem);
        if (r == 0 && hl_method_has_body(ctx->request->method))
                r = read_body(ctx->request, flags & HL_ROUTE_ANY_TYPE, &ctx->body, problem);
        if (r == 0)
                run_route(ctx);
        return r;
}

static int answer(const struct hl_routes *routes, const struct hl_guard *guard, struct hl_context *ctx,
                  struct hl_problem *problem)
{
        unsigned scopes = HL_SCOPE_NONE;
        int r = admit(guard, ctx, &scopes, problem);
        if (r <= 0)
                return r;
        struct match match = find(routes, ctx->request);
        HL_CLEANUP(hl_free_pointer) char *param = match.param;
        r = choose(routes, &match, scopes, ctx, problem);
        ctx->param = param;
        ctx->route = match.route;
        return r <= 0 ? r : run(ctx, problem);
}

void hl_routes_answer(const struct hl_routes *routes, const struct hl_guard *guard, void *service,
                      const struct hl_request *request, struct hl_response *response, struct hl_err *ret_err)
{
        struct hl_context ctx = { .request = request, .routes = routes, .response = response, .service = service };
        struct hl_problem problem = { 0 };
        if (answer(routes, guard, &ctx, &problem) < 0) {
                hl_response_problem(response, request, &problem);
                hl_fail(&ctx.err, HL_ERR_INVALID, EINVAL, problem.code, "%s", problem.message);
        }
        *ret_err = ctx.err;
        hl_json_free(ctx.body);
        hl_json_free(ctx.reply);
}

void hl_routes_refuse(const struct hl_guard *guard, const struct hl_request *request, const struct hl_problem *problem,
                      struct hl_response *response)
{
        if (hl_guard_page(guard, request) == HL_PAGE_NAMED)
                hl_cors_add(request, response);
        hl_response_problem(response, request, problem);
}

static void first_problem(void *data, const char *path, const char *problem)
{
        hl_fail(data, HL_ERR_INVALID, EINVAL, "invalid_body", "\"%s\" %s", path, problem);
}

static int check_body(struct hl_context *ctx)
{
        const struct hl_route *route = ctx->route;
        const char *const *either = route->either;
        for (size_t i = 0; i < route->body_count; i++)
                if (route->body[i].missing && !hl_json_has(ctx->body, route->body[i].json.key))
                        return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_body", "%s", route->body[i].missing);
        if (either[0] && hl_json_has(ctx->body, either[0]) && hl_json_has(ctx->body, either[1]))
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_body",
                               "send either \"%s\" or \"%s\", not both", either[0], either[1]);
        return 0;
}

int hl_context_read_body(struct hl_context *ctx, void *values)
{
        size_t count = ctx->route->body_count;
        HL_CLEANUP(hl_free_pointer) struct hl_json_field *fields = hl_alloc(count * sizeof(*fields));
        for (size_t i = 0; i < count; i++) {
                fields[i] = ctx->route->body[i].json;
                fields[i].out = (char *)values + ctx->route->body[i].offset;
        }
        int r = hl_json_read(ctx->body, "", fields, count, first_problem, &ctx->err);
        return r < 0 ? r : check_body(ctx);
}

char *hl_context_parameter(const struct hl_context *ctx, const char *name)
{
        char *value = NULL;
        return hl_request_query(ctx->request, name, &value) < 0 ? NULL : value;
}

uint64_t hl_context_number(const struct hl_context *ctx, const char *name, uint64_t otherwise)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_context_parameter(ctx, name);
        uint64_t number = otherwise;
        return text && hl_parse_uint(text, UINT64_MAX, &number) < 0 ? otherwise : number;
}
