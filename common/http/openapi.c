/* SPDX-License-Identifier: MIT */
#include "openapi.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/version.h"
#include "openapi_schemas.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ABOUT                                                                                                          \
        "Who asks from this machine needs no token, unless `auth.loopback` says so. A path that is not here is "       \
        "answered 404, and a method that a path does not know 405 with `Allow`. Each answer has an `X-Request-Id`, "   \
        "by which the journal knows it."
#define ABOUT_TOKEN                                                                                                    \
        "`home-lab-services token add` makes one. The word at each route is the scope that it needs. "                 \
        "`x-api-key` and `api-key` take the token as well."

#define STATUS_END 600 /* above all statuses */

static hl_json *new_reference(const char *schema)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("#/components/schemas/%s", schema);
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "$ref", path);
        return json;
}

static hl_json *new_string(void)
{
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "type", "string");
        return json;
}

/* ---- what a request brings ---- */

static hl_json *new_content(const char *type, hl_json *schema)
{
        hl_json *content = hl_json_new(), *media = hl_json_new();
        hl_json_set(media, "schema", schema);
        hl_json_set(content, type, media);
        return content;
}

static hl_json *new_parameter(const char *name, const char *in, const char *about, hl_json *schema)
{
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "name", name);
        hl_json_set_string(json, "in", in);
        if (about)
                hl_json_set_string(json, "description", about);
        hl_json_set_bool(json, "required", strcmp(in, "path") == 0);
        hl_json_set(json, "schema", schema);
        return json;
}

/* The name of what stands for {…}; free(). NULL: nothing does. */
static char *find_param(const struct hl_route *route)
{
        const char *start = strchr(route->path, '{');
        return start ? hl_strndup(start + 1, strcspn(start + 1, ".}")) : NULL;
}

static hl_json *new_parameters(const struct hl_routes *routes, const struct hl_route *route)
{
        hl_json *parameters = hl_json_new_array();
        HL_CLEANUP(hl_free_pointer) char *param = find_param(route);
        if (param) {
                hl_json *schema = new_string();
                if (routes->param && !(route->flags & HL_ROUTE_FOREIGN))
                        hl_json_set_string(schema, "pattern", routes->param);
                else
                        hl_json_set_int(schema, "minLength", 1);
                hl_json_push(parameters, new_parameter(param, "path", NULL, schema));
        }
        for (const struct hl_parameter *p = route->query; p && p->name; p++)
                hl_json_push(parameters, new_parameter(p->name, "query", p->about, hl_openapi_parameter(p)));
        return parameters;
}

static hl_json *new_body(const struct hl_route *route)
{
        hl_json *body = hl_json_new();
        bool needed = false;
        for (size_t i = 0; i < route->body_count; i++)
                needed = needed || route->body[i].missing;
        hl_json_set_bool(body, "required", needed);
        hl_json_set(body, "content", new_content("application/json", hl_openapi_body(route)));
        return body;
}

/* What lets one in: a token of any of the route's scopes, or being on this machine. */
static hl_json *new_security(const struct hl_route *route)
{
        static const struct {
                unsigned bit, token;
        } scopes[] = {
                { HL_SCOPE_READ, HL_SCOPE_READ },   { HL_SCOPE_LOGS, HL_SCOPE_READ },
                { HL_SCOPE_USE, HL_SCOPE_USE },     { HL_SCOPE_CONTROL, HL_SCOPE_CONTROL },
                { HL_SCOPE_POWER, HL_SCOPE_POWER }, { HL_SCOPE_REPORT, HL_SCOPE_CONTROL },
        };
        hl_json *security = hl_json_new_array();
        bool any = route->scope == HL_SCOPE_ALL;
        for (size_t i = 0; i < (any ? 1 : HL_COUNT(scopes)); i++) {
                if (!(route->scope & scopes[i].bit))
                        continue;
                hl_json *need = hl_json_new(), *names = hl_json_new_array();
                if (!any)
                        hl_json_push_string(names, hl_scope_name(scopes[i].token));
                hl_json_set(need, "token", names);
                hl_json_push(security, need);
        }
        hl_json_push(security, hl_json_new());
        return security;
}

/* ---- what an answer has ---- */

static const struct hl_route_error of_all[] = {
        { 400, "bad_request" },
        { 400, "duplicate_header" },
        { 400, "host_required" },
        { 400, "incomplete_request" },
        { 400, "invalid_target" },
        { 400, "unsupported_transfer_encoding" },
        { 400, "unsupported_version" },
        { 401, "token_invalid" },
        { 403, "host_not_allowed" },
        { 403, "scope_too_small" },
        { 408, "request_timeout" },
        { 413, "body_too_large" },
        { 414, "target_too_long" },
        { 431, "headers_too_large" },
        { 431, "too_many_headers" },
        { 500, "configuration_invalid" },
        { 500, "internal_error" },
        { 503, "configuration_unreadable" },
        { 0 },
};
static const struct hl_route_error of_queries[] = { { 400, "invalid_parameter" }, { 400, "unknown_parameter" }, { 0 } };
static const struct hl_route_error of_bodies[] = {
        { 400, "duplicate_key" },          { 400, "invalid_body" },
        { 400, "invalid_json" },           { 403, "foreign_origin" },
        { 411, "length_required" },        { 415, "unsupported_content_encoding" },
        { 415, "unsupported_media_type" }, { 0 },
};
/* Clients of the OpenAI API know no 403 for that. */
static const struct hl_route_error of_openai[] = { { 401, "token_required" }, { 0 } };
static const struct hl_route_error of_others[] = { { 403, "token_required" }, { 0 } };

/* Adds the codes that a list has for a status. */
static void add_codes(hl_json *codes, const struct hl_route_error *errors, int status)
{
        for (; errors && errors->status; errors++)
                if (errors->status == status)
                        hl_json_push_string(codes, errors->code);
}

static bool is_openai(const struct hl_route *route)
{
        return strncmp(route->path, "/v1/", 4) == 0;
}

/* One for each status that one of the lists has. */
static void add_errors(hl_json *answers, const struct hl_route *route)
{
        const struct hl_route_error *lists[] = {
                of_all,
                is_openai(route) ? of_openai : of_others,
                route->flags & HL_ROUTE_FOREIGN ? NULL : of_queries,
                route->method == HL_POST ? of_bodies : NULL,
                route->errors,
        };
        for (int status = 400; status < STATUS_END; status++) {
                char key[16];
                hl_json *codes = hl_json_new_array();
                for (size_t i = 0; i < HL_COUNT(lists); i++)
                        add_codes(codes, lists[i], status);
                if (hl_json_length(codes) == 0) {
                        hl_json_free(codes);
                        continue;
                }
                hl_json *answer = hl_json_new();
                hl_json_set_string(answer, "description", hl_status_reason(status));
                hl_json_set(answer, "x-codes", codes);
                hl_json_set(answer, "content",
                            new_content("application/json", new_reference(is_openai(route) ? "OpenAIError" : "Error")));
                snprintf(key, sizeof(key), "%d", status);
                hl_json_set(answers, key, answer);
        }
}

static hl_json *new_success(const struct hl_route *route, int status)
{
        hl_json *answer = hl_json_new(), *content = hl_json_new();
        const char *types = route->types, *type;
        size_t len;
        while ((type = hl_next_word(&types, &len))) {
                HL_CLEANUP(hl_free_pointer) char *name = hl_strndup(type, len);
                hl_json *media = hl_json_new();
                hl_json_set(media, "schema", new_string());
                hl_json_set(content, name, media);
        }
        if (route->reply) {
                hl_json *media = hl_json_new();
                hl_json_set(media, "schema", hl_openapi_object(route->reply, route->flags & HL_ROUTE_BARE));
                hl_json_set(content, "application/json", media);
        }
        hl_json_set_string(answer, "description", hl_status_reason(status));
        hl_json_set(answer, "content", content);
        return answer;
}

static hl_json *new_answers(const struct hl_route *route)
{
        hl_json *answers = hl_json_new();
        hl_json_set(answers, "200", new_success(route, 200));
        if (route->flags & HL_ROUTE_BEGINS)
                hl_json_set(answers, "202", new_success(route, 202));
        add_errors(answers, route);
        return answers;
}

/* ---- the document ---- */

/* "get_models_model_logs"; free(). */
static char *new_id(const char *method, const char *path)
{
        char *id = hl_format("%s%s", method, path);
        size_t len = 0;
        for (const char *c = id; *c; c++) {
                bool is_word = isalnum((unsigned char)*c);
                if (is_word || (len > 0 && id[len - 1] != '_'))
                        id[len++] = is_word ? (char)tolower((unsigned char)*c) : '_';
        }
        while (len > 0 && id[len - 1] == '_')
                len--;
        id[len] = '\0';
        return id;
}

static void add_operation(hl_json *item, const struct hl_routes *routes, const struct hl_route *route,
                          const char *method)
{
        HL_CLEANUP(hl_free_pointer) char *id = new_id(method, route->path);
        hl_json *operation = hl_json_new();
        hl_json_set_string(operation, "operationId", id);
        hl_json_set_string(operation, "summary", route->summary);
        hl_json_set(operation, "parameters", new_parameters(routes, route));
        if (route->method == HL_POST)
                hl_json_set(operation, "requestBody", new_body(route));
        hl_json_set(operation, "responses", new_answers(route));
        hl_json_set(operation, "security", new_security(route));
        hl_json_set(item, method, operation);
}

/* All routes of one path. */
static hl_json *new_item(const struct hl_routes *routes, const char *path)
{
        hl_json *item = hl_json_new();
        const struct hl_route *route;
        for (size_t i = 0; (route = hl_routes_at(routes, i)); i++) {
                if (strcmp(route->path, path) != 0)
                        continue;
                add_operation(item, routes, route, route->method == HL_GET ? "get" : "post");
                if (route->flags & HL_ROUTE_RESOURCE) {
                        add_operation(item, routes, route, "put");
                        add_operation(item, routes, route, "patch");
                }
        }
        return item;
}

/* OpenAPI knows no {model...}. free() */
static char *plain_path(const char *path)
{
        const char *dots = strstr(path, "...}");
        return dots ? hl_format("%.*s}", (int)(dots - path), path) : hl_strdup(path);
}

static const struct hl_reply_field error_fields[] = {
        { "status", HL_REPLY_STRING, "\"error\"", .choices = "error" },
        { "code", HL_REPLY_STRING, "For programs: it stays the same" },
        { "message", HL_REPLY_STRING, "For people: what is wrong, and what to do" },
        { 0 },
};
static const struct hl_reply_field openai_error_fields[] = {
        { "message", HL_REPLY_STRING, "For people: what is wrong, and what to do" },
        { "type", HL_REPLY_STRING, "As OpenAI's servers and llama.cpp's name it" },
        { "param", HL_REPLY_STRING | HL_REPLY_NULLABLE, "null" },
        { "code", HL_REPLY_STRING, "For programs: it stays the same" },
        { 0 },
};
static const struct hl_schema openai_error_detail = { "OpenAIErrorDetail", openai_error_fields };
static const struct hl_reply_field openai_error[] = {
        { "error", HL_REPLY_OBJECT, "What is wrong", .schema = &openai_error_detail },
        { 0 },
};

static hl_json *new_components(const struct hl_routes *routes)
{
        hl_json *components = hl_json_new(), *schemas = hl_json_new(), *schemes = hl_json_new(), *token = hl_json_new();
        hl_json_set(schemas, "Error", hl_openapi_object(error_fields, true));
        hl_json_set(schemas, "OpenAIError", hl_openapi_object(openai_error, true));
        hl_openapi_add_schemas(schemas, openai_error);
        const struct hl_route *route;
        for (size_t i = 0; (route = hl_routes_at(routes, i)); i++)
                hl_openapi_add_schemas(schemas, route->reply);
        hl_json_set_string(token, "type", "http");
        hl_json_set_string(token, "scheme", "bearer");
        hl_json_set_string(token, "description", ABOUT_TOKEN);
        hl_json_set(schemes, "token", token);
        hl_json_set(components, "schemas", schemas);
        hl_json_set(components, "securitySchemes", schemes);
        return components;
}

hl_json *hl_openapi_document(const struct hl_routes *routes, bool behind_site)
{
        hl_json *document = hl_json_new(), *info = hl_json_new(), *servers = hl_json_new_array(),
                *server = hl_json_new(), *paths = hl_json_new();
        const struct hl_route *route;
        hl_json_set_string(info, "title", routes->title);
        hl_json_set_string(info, "version", HL_VERSION);
        hl_json_set_string(info, "description", ABOUT);
        hl_json_set_string(server, "url", behind_site && routes->site ? routes->site : "/");
        hl_json_push(servers, server);
        for (size_t i = 0; (route = hl_routes_at(routes, i)); i++) {
                HL_CLEANUP(hl_free_pointer) char *path = plain_path(route->path);
                if (!hl_json_has(paths, path))
                        hl_json_set(paths, path, new_item(routes, route->path));
        }
        hl_json_set_string(document, "openapi", "3.1.1");
        hl_json_set(document, "info", info);
        hl_json_set(document, "servers", servers);
        hl_json_set(document, "paths", paths);
        hl_json_set(document, "components", new_components(routes));
        return document;
}
