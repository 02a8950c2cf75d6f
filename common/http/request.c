/* SPDX-License-Identifier: MIT */
#include "request.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

int hl_refuse_late(struct hl_problem *ret_problem)
{
        return hl_problem(ret_problem, 408, "request_timeout", "the request did not arrive in time: send it faster");
}

int hl_refuse_incomplete(struct hl_problem *ret_problem)
{
        return hl_problem(ret_problem, 400, "incomplete_request", "the request ended before it was whole");
}

int hl_refuse_long_target(struct hl_problem *ret_problem)
{
        return hl_problem(ret_problem, 414, "target_too_long", "the request target is longer than %d bytes",
                          HL_REQUEST_TARGET_MAX);
}

int hl_refuse_large_body(struct hl_problem *ret_problem)
{
        return hl_problem(ret_problem, 413, "body_too_large", "the body is longer than %d bytes", HL_REQUEST_BODY_MAX);
}

void hl_request_init(struct hl_request *request)
{
        *request = (struct hl_request){ .body.max = HL_REQUEST_BODY_MAX, .client_fd = -1 };
        uint64_t id = 0;
        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                abort();
        snprintf(request->id, sizeof(request->id), "%016llx", (unsigned long long)id);
}

void hl_request_free(struct hl_request *request)
{
        free(request->path);
        free(request->query);
        free(request->host);
        free(request->origin);
        free(request->sec_fetch_site);
        free(request->content_type);
        free(request->content_encoding);
        free(request->accept);
        free(request->authorization);
        free(request->last_event_id);
        free(request->x_api_key);
        free(request->api_key);
        free(request->ac_request_method);
        free(request->ac_request_headers);
        free(request->ac_request_private_network);
        hl_buf_free(&request->body);
        *request = (struct hl_request){ 0 };
}

static const char *const method_names[] = { [HL_GET] = "GET",
                                            [HL_HEAD] = "HEAD",
                                            [HL_POST] = "POST",
                                            [HL_OPTIONS] = "OPTIONS",
                                            [HL_METHOD_OTHER] = "(other)",
                                            [HL_PUT] = "PUT",
                                            [HL_PATCH] = "PATCH" };

const char *hl_method_name(enum hl_method method)
{
        return method_names[method];
}

enum hl_method hl_method_parse(const char *name)
{
        for (size_t i = 0; i < HL_COUNT(method_names); i++)
                if (strcmp(method_names[i], name) == 0)
                        return (enum hl_method)i;
        return HL_METHOD_OTHER;
}

static const struct {
        const char *name;
        size_t offset;
        bool may_repeat; /* then the first counts */
} kept[] = {
        { "Host", offsetof(struct hl_request, host) },
        { "Origin", offsetof(struct hl_request, origin) },
        { "Sec-Fetch-Site", offsetof(struct hl_request, sec_fetch_site) },
        { "Content-Type", offsetof(struct hl_request, content_type) },
        { "Content-Encoding", offsetof(struct hl_request, content_encoding) },
        { "Accept", offsetof(struct hl_request, accept), .may_repeat = true },
        { "Authorization", offsetof(struct hl_request, authorization) },
        { "Last-Event-ID", offsetof(struct hl_request, last_event_id), .may_repeat = true },
        { "X-Api-Key", offsetof(struct hl_request, x_api_key) },
        { "Api-Key", offsetof(struct hl_request, api_key) },
        { "Access-Control-Request-Method", offsetof(struct hl_request, ac_request_method) },
        { "Access-Control-Request-Headers", offsetof(struct hl_request, ac_request_headers) },
        { "Access-Control-Request-Private-Network", offsetof(struct hl_request, ac_request_private_network) },
};

static bool is_forwarding(const char *name)
{
        static const char *const names[] = { "Forwarded", "X-Forwarded-For", "X-Real-IP", "Via" };
        for (size_t i = 0; i < HL_COUNT(names); i++)
                if (strcasecmp(names[i], name) == 0)
                        return true;
        return false;
}

int hl_request_header(struct hl_request *request, const char *name, const char *value, struct hl_problem *ret_problem)
{
        /* An empty one says nothing, and some transports do not tell it from none. */
        request->forwarded = request->forwarded || (*value && is_forwarding(name));
        for (size_t i = 0; i < HL_COUNT(kept); i++) {
                if (strcasecmp(kept[i].name, name) != 0)
                        continue;
                char **field = (char **)((char *)request + kept[i].offset);
                if (*field && kept[i].may_repeat)
                        return 0;
                if (*field)
                        return hl_problem(ret_problem, 400, "duplicate_header", "send the %s header once",
                                          kept[i].name);
                *field = hl_strdup(value);
        }
        return 0;
}

int hl_request_target(struct hl_request *request, const char *target, struct hl_problem *ret_problem)
{
        for (const char *c = target; *c; c++)
                if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7F)
                        return hl_problem(ret_problem, 400, "invalid_target", "percent-encode the request target");

        if (strncasecmp(target, "http://", 7) == 0) { /* absolute form, whose authority replaces Host: RFC 9112 3.2.2 */
                target += 7;
                size_t authority = strcspn(target, "/?");
                free(request->host);
                request->host = hl_strndup(target, authority);
                target += authority;
                if (*target != '/')
                        return hl_problem(ret_problem, 400, "invalid_target", "the request target needs a path");
        }
        if (*target != '/' && strcmp(target, "*") != 0)
                return hl_problem(ret_problem, 400, "invalid_target",
                                  "the request target must be a path that begins with /");

        size_t path = strcspn(target, "?");
        HL_CLEANUP(hl_free_pointer) char *decoded = NULL;
        if (hl_percent_decode(target, path, &decoded) < 0)
                return hl_problem(ret_problem, 400, "invalid_target", "the path is not valid percent-encoded UTF-8");
        request->path = hl_strndup(target, path);
        request->query = target[path] == '?' ? hl_strdup(target + path + 1) : NULL;
        return 0;
}

/* A client may encode a name, too. One that cannot be decoded is none that is asked for. */
static bool is_named(const char *pair, size_t len, const char *name)
{
        HL_CLEANUP(hl_free_pointer) char *decoded = NULL;
        return hl_percent_decode(pair, len, &decoded) == 0 && strcmp(decoded, name) == 0;
}

int hl_request_query(const struct hl_request *request, const char *name, char **ret_value)
{
        for (const char *s = request->query; s && *s;) {
                size_t len = strcspn(s, "&"), name_len = strcspn(s, "=&");
                if (name_len < len && is_named(s, name_len, name))
                        return hl_percent_decode(s + name_len + 1, len - name_len - 1, ret_value);
                s += len + (s[len] == '&');
        }
        *ret_value = NULL;
        return 0;
}

bool hl_request_is_openai(const struct hl_request *request)
{
        const char *first = request->path ? request->path + strspn(request->path, "/") : "";
        HL_CLEANUP(hl_free_pointer) char *segment = NULL;
        return hl_percent_decode(first, strcspn(first, "/"), &segment) == 0 && strcmp(segment, "v1") == 0;
}

bool hl_address_is_local(const char *address)
{
        struct in_addr v4;
        struct in6_addr v6;
        if (hl_has_prefix(address, "unix:"))
                return true;
        if (inet_pton(AF_INET, address, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
        if (inet_pton(AF_INET6, address, &v6) != 1)
                return false;
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET);
}
