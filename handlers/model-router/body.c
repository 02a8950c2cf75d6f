/* SPDX-License-Identifier: MIT */
#include "body.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "form.h"
#include "http/content.h"
#include "json_find.h"
#include "multipart.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIELD "model"

/* How a body is to be read. */
enum form { NO_FORM, JSON, MULTIPART, URLENCODED };

static int parse_len(const char *text, size_t *ret_len, struct hl_err *err)
{
        uint64_t len = 0;
        int r = text && *text ? hl_parse_uint(text, SIZE_MAX / 2, &len) : 0;
        if (r == -ERANGE)
                return hl_fail(err, HL_ERR_TOO_LARGE, EFBIG, "body_too_large",
                               "no host has room for a body of so many bytes: send a smaller one");
        if (r < 0)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "bad_request", "Content-Length must be a whole number");
        *ret_len = (size_t)len;
        return 0;
}

/* How long a body may be is for NGINX alone to say: client_max_body_size. *ret_body: free(). */
static int read_body(struct hl_fastcgi_request *fcgi, size_t len, char **ret_body, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *body = malloc(len);
        if (!body)
                return hl_fail(err, HL_ERR_TOO_LARGE, ENOMEM, "body_too_large",
                               "this host has no memory left for a body of %zu bytes: send a smaller one, or later",
                               len);
        for (size_t at = 0, n; at < len; at += n)
                if ((n = hl_fastcgi_body(fcgi, body + at, len - at)) == 0)
                        return hl_fail(err, HL_ERR_INVALID, EPROTO, "incomplete_request",
                                       "the request ended before it was whole: send it again");
        *ret_body = hl_steal(body);
        return 0;
}

/* Whether a body of a type that does not say so is JSON: one opening brace, and for types that are not what "curl -d"
 * says of all it sends also a key or a closing one. Zeros are those of UTF-16, which begins with a mark. */
static bool looks_like_json(const char *body, size_t len, bool brace_is_enough)
{
        static const char skipped[] = "\xEF\xBB\xBF\xFE\xFF \t\r\n"; /* the NUL at its end counts */
        const char *end = body + len;
        while (body < end && memchr(skipped, *body, sizeof(skipped)))
                body++;
        if (body == end || *body++ != '{')
                return false;
        while (body < end && memchr(" \t\r\n", *body, 5))
                body++;
        return brace_is_enough || body == end || *body == '"' || *body == '}';
}

static enum form form_of(const char *type, const char *body, size_t len)
{
        if (hl_content_is_json(type))
                return JSON;
        if (hl_content_is(type, HL_MULTIPART_TYPE))
                return MULTIPART;
        bool urlencoded = hl_content_is(type, HL_FORM_TYPE);
        if (looks_like_json(body, len, urlencoded))
                return JSON;
        return urlencoded ? URLENCODED : NO_FORM;
}

static int find_in(const char *type, const char *body, size_t len, char **ret_name, struct hl_err *err)
{
        switch (form_of(type, body, len)) {
        case JSON:
                return hl_json_find_string(body, len, FIELD, ret_name, err);
        case MULTIPART:
                return hl_multipart_field(type, body, len, FIELD, ret_name, err);
        case URLENCODED:
                return hl_form_field(type, body, len, FIELD, ret_name, err);
        case NO_FORM:
                break;
        }
        *ret_name = NULL;
        return 0;
}

bool hl_router_body_is_long(const struct hl_router_request *request)
{
        size_t len = 0;
        struct hl_err ignored = { 0 };
        return parse_len(request->body_len, &len, &ignored) == 0 && len > HL_ROUTER_BODY_SHORT_MAX;
}

int hl_router_find_model(const struct hl_router_request *request, char **ret_name, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *body = NULL;
        const struct hl_request *http = &request->http;
        size_t len = 0;
        int r = parse_len(request->body_len, &len, err);
        if (r == 0 && len == 0) {
                *ret_name = NULL;
                return 0;
        }
        if (r == 0 && !hl_content_is_unencoded(http->content_encoding))
                return hl_content_refuse_encoding(http->content_encoding, err);
        if (r == 0)
                r = read_body(request->fcgi, len, &body, err);
        return r < 0 ? r : find_in(http->content_type, body, len, ret_name, err);
}
