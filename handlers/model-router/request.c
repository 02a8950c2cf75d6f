/* SPDX-License-Identifier: MIT */
#include "request.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "transport/cgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The target is its model's to understand, whatever it is: it is taken apart here, and judged nowhere. */
static const char *get(void *data, const char *name)
{
        return strcmp(name, "REQUEST_URI") == 0 ? NULL : hl_fastcgi_get(data, name);
}

/* Base URLs end with a slash, and paths begin with one. */
static void merge_slashes(char *path)
{
        char *to = path;
        for (const char *from = path; *from; from++)
                if (*from != '/' || to == path || to[-1] != '/')
                        *to++ = *from;
        *to = '\0';
}

static void read_target(struct hl_router_request *request)
{
        const char *target = hl_fastcgi_get(request->fcgi, "REQUEST_URI");
        size_t len = target ? strcspn(target, "?") : 0;
        if (len == 0)
                return;
        free(request->http.path);
        request->http.path = hl_strndup(target, len);
        merge_slashes(request->http.path);
        if (target[len])
                request->http.query = hl_strdup(target + len + 1);
}

static bool is_one(const struct hl_fastcgi_request *fcgi, const char *name)
{
        const char *value = hl_fastcgi_get(fcgi, name);
        return value && strcmp(value, "1") == 0;
}

/* NGINX joins what several tries took by ", " and " : ". */
static const char *last_of(const char *list)
{
        if (!list)
                return "";
        const char *last = strrchr(list, ' ');
        return last ? last + 1 : list;
}

/* NGINX's times are seconds with three decimals: "1767225600.123". 0: it is none. */
static uint64_t time_of(const char *text)
{
        unsigned long long seconds = 0;
        unsigned milliseconds = 0;
        if (!text || sscanf(text, "%llu.%3u", &seconds, &milliseconds) != 2)
                return 0;
        return seconds * HL_USEC_PER_SEC + milliseconds * HL_USEC_PER_MSEC;
}

/* When the last try failed; less how long it took, it was sent. */
static void read_times(struct hl_router_request *request)
{
        uint64_t failed_us = time_of(hl_fastcgi_get(request->fcgi, "HL_FAILED_AT")),
                 took_us = time_of(last_of(hl_fastcgi_get(request->fcgi, "HL_UPSTREAM_RESPONSE_TIME")));
        request->failed_us = failed_us;
        request->sent_us = hl_us_minus(failed_us, took_us);
}

/* A router that is stopped says how often, and since when: "2 1767225600.123". Of one that was killed NGINX keeps the
 * time of the first call. */
static void read_waits(struct hl_router_request *request, const char *again)
{
        const char *since = again ? strchr(again, ' ') : NULL;
        HL_CLEANUP(hl_free_pointer) char *count = again ? hl_strndup(again, strcspn(again, " ")) : NULL;
        uint64_t hand_backs = 0;
        if (count && hl_parse_uint(count, HL_ROUTER_HAND_BACKS_MAX, &hand_backs) < 0)
                hand_backs = HL_ROUTER_HAND_BACKS_MAX;
        request->hand_backs = (unsigned)hand_backs;
        request->waits_us = time_of(since ? since : hl_fastcgi_get(request->fcgi, "HL_FAILED_AT"));
}

static void read_call(struct hl_router_request *request)
{
        const struct hl_fastcgi_request *fcgi = request->fcgi;
        const char *call = hl_fastcgi_get(fcgi, "HL_CALL"), *model = hl_fastcgi_get(fcgi, "HL_MODEL"),
                   *again = hl_fastcgi_get(fcgi, "HL_AGAIN"),
                   *status = last_of(hl_fastcgi_get(fcgi, "HL_UPSTREAM_STATUS")),
                   *connect_time = last_of(hl_fastcgi_get(fcgi, "HL_UPSTREAM_CONNECT_TIME"));
        if (call && strcmp(call, "wake") == 0)
                request->call = HL_ROUTER_WAKE;
        else if (call && strcmp(call, "admit") == 0)
                request->call = HL_ROUTER_ADMIT;
        request->model = model ? model : "";
        request->body_len = hl_fastcgi_get(fcgi, "CONTENT_LENGTH");
        request->is_forged = is_one(fcgi, "HL_FORGED");
        request->counts = is_one(fcgi, "HL_COUNTS");
        /* "-": no connection, so the model never saw the request. That is the last word also where it said 503
         * before. */
        request->was_sent = *connect_time && strcmp(connect_time, "-") != 0 && strcmp(status, "503") != 0;
        if (request->was_sent)
                read_times(request);
        request->timed_out = request->was_sent && strcmp(status, "504") == 0;
        request->is_again = again != NULL;
        read_waits(request, again);
}

struct hl_router_request *hl_router_request_new(struct hl_fastcgi_request *fcgi, struct hl_problem *ret_problem)
{
        struct hl_router_request *request = hl_alloc(sizeof(*request));
        const struct hl_cgi_source source = { .get = get, .data = fcgi };
        *request = (struct hl_router_request){ .fcgi = fcgi };
        hl_request_init(&request->http);
        hl_cgi_read(&request->http, &source, ret_problem);
        read_target(request);
        read_call(request);
        return request;
}

struct hl_router_request *hl_router_request_free(struct hl_router_request *request)
{
        if (request->fcgi)
                hl_fastcgi_finish(request->fcgi, NULL, 0);
        hl_request_free(&request->http);
        free(request);
        return NULL;
}
