/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "content.h"
#include "cors.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

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
        bool get = !pattern || strcmp(pattern, "/") == 0, post = !pattern, put = false;
        for (size_t i = 0; i < routes->count; i++) {
                const struct hl_route *route = &routes->items[i];
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

/* "GET /": what this service can do. */
static int run_index(struct hl_context *ctx, const struct hl_routes *routes)
{
        hl_json *endpoints = hl_json_new();
        for (size_t i = 0; i < routes->count; i++) {
                const struct hl_route *route = &routes->items[i];
                HL_CLEANUP(hl_free_pointer) char *key = hl_format("%s %s", hl_method_name(route->method), route->path);
                hl_json_set_string(endpoints, key, route->summary);
        }
        hl_json_set_string(ctx->reply, "service", routes->title);
        hl_json_set(ctx->reply, "endpoints", endpoints);
        hl_json_set_string(ctx->reply, "version", HL_VERSION);
        return 0;
}

static int check_query(const struct hl_request *request, const char *known, struct hl_problem *problem)
{
        for (const char *s = request->query; s && *s;) {
                size_t len = strcspn(s, "&"), name = strcspn(s, "=&");
                int shown = (int)(name < 40 ? name : 40);
                if (len > 0 && !hl_in_list(known, s, name))
                        return hl_problem(problem, 400, "unknown_parameter",
                                          "unknown query parameter \"%.*s\"; known here: %s", shown, s,
                                          known ? known : "none");
                if (len > 0 && s[name] != '=')
                        return hl_problem(problem, 400, "invalid_parameter", "\"%.*s\" needs a value: %.*s=…", shown, s,
                                          shown, s);
                for (const char *other = s + len; len > 0 && *other; other += 1 + strcspn(other + 1, "&"))
                        if (strncmp(other + 1, s, name + 1) == 0)
                                return hl_problem(problem, 400, "invalid_parameter", "send \"%.*s\" once", shown, s);
                s += len + (s[len] == '&');
        }
        return 0;
}

/* JSON, or bytes of which nothing is said, as aiohttp names them: neither is sent by a page that was not asked
 * first. */
static bool is_json_type(const char *content_type)
{
        static const char *const types[] = { "application/json", "application/octet-stream" };
        size_t len = strcspn(content_type, "; \t");
        for (size_t i = 0; i < HL_COUNT(types); i++)
                if (len == strlen(types[i]) && strncasecmp(content_type, types[i], len) == 0)
                        return true;
        return false;
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
        bool known = request->content_type && is_json_type(request->content_type);
        if (!known && (!any_type || is_from_a_page(request)))
                return hl_problem(problem, 415, "unsupported_media_type",
                                  "send the body as Content-Type: application/json");
        if (hl_json_parse(request->body.data, request->body.len, ret_body, &err) < 0)
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

static void run_route(const struct hl_routes *routes, const struct hl_route *route, struct hl_context *ctx)
{
        ctx->status = 200;
        ctx->reply = hl_json_new();
        hl_json_set_string(ctx->reply, "status", "success");
        int r = route ? route->run(ctx) : run_index(ctx, routes);
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
        const struct hl_route *route; /* of the method; NULL: "GET /", or not served */
        char *param;
};

static struct match find(const struct hl_routes *routes, const struct hl_request *request)
{
        struct match match = { 0 };
        if (strcmp(request->path, "/") == 0)
                match.pattern = "/";
        for (size_t i = 0; i < routes->count && !match.pattern; i++)
                if (path_fits(&routes->items[i], request->path, &match.param))
                        match.pattern = routes->items[i].path;
        for (size_t i = 0; i < routes->count && match.pattern && !match.route; i++)
                if (strcmp(routes->items[i].path, match.pattern) == 0 && serves(&routes->items[i], request->method))
                        match.route = &routes->items[i];
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
        bool index = !match->route && strcmp(match->pattern, "/") == 0 &&
                     (request->method == HL_GET || request->method == HL_HEAD);
        if (!match->route && !index) {
                allow = add_allow(routes, match->pattern, ctx->response);
                return hl_problem(problem, 405, "method_not_allowed", "this path knows only %s", allow);
        }
        if (match->route && !(scopes & match->route->scope))
                return hl_guard_refuse_scope(request, match->route->scope, scopes, problem);
        return 1;
}

/* Reads what the route takes, and runs it; NULL is "GET /". */
static int run(const struct hl_routes *routes, const struct hl_route *route, struct hl_context *ctx,
               struct hl_problem *problem)
{
        unsigned flags = route ? route->flags : 0;
        int r = flags & HL_ROUTE_FOREIGN ? 0 : check_query(ctx->request, route ? route->query : NULL, problem);
        if (r == 0 && hl_method_has_body(ctx->request->method))
                r = read_body(ctx->request, flags & HL_ROUTE_ANY_TYPE, &ctx->body, problem);
        if (r == 0)
                run_route(routes, route, ctx);
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
        return r <= 0 ? r : run(routes, match.route, ctx, problem);
}

void hl_routes_answer(const struct hl_routes *routes, const struct hl_guard *guard, void *service,
                      const struct hl_request *request, struct hl_response *response, struct hl_err *ret_err)
{
        struct hl_context ctx = { .request = request, .response = response, .service = service };
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

int hl_context_read_body(struct hl_context *ctx, const struct hl_json_field *fields, size_t field_count)
{
        return hl_json_read(ctx->body, "", fields, field_count, first_problem, &ctx->err);
}

int hl_context_choice(struct hl_context *ctx, const char *name, const char *choices, char **ret_value)
{
        HL_CLEANUP(hl_free_pointer) char *value = NULL;
        int r = hl_request_query(ctx->request, name, &value);
        if (r < 0 || (value && !hl_in_list(choices, value, strlen(value))))
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_parameter", "\"%s\" must be one of: %s",
                               name, choices);
        *ret_value = hl_steal(value);
        return 0;
}
