/* SPDX-License-Identifier: MIT */
/* response.h - one HTTP response, kept in memory and written once.
 *
 * Shape    status, extra headers, body. Nothing is sent before the outcome is known. A body that goes on for as long as
 *          its client listens (a followed log) is written piece by piece behind that, by `stream`.
 * Errors   a header value with a control character is left out: nothing that a client sent can add a header
 *          (tests/unit/http/test_request.c: header injection).
 * Owner    hl_response_free().
 * Source   RFC 9110; CGI's form is RFC 3875 section 6. OpenAI's errors:
 *          https://platform.openai.com/docs/guides/error-codes; their types as its servers and llama.cpp's write them.
 * Tests    tests/unit/http/test_request.c
 */
#ifndef HL_HTTP_RESPONSE_H
#define HL_HTTP_RESPONSE_H

#include "base/buf.h"
#include "base/json.h"
#include "request.h"

/* Where `stream` writes: the transport's side. */
struct hl_stream {
        int (*write)(void *data, const void *bytes, size_t len); /* 0, or -errno: nobody listens any more */
        void *data;
        int client_fd;    /* hangs up when the client leaves */
        int stop_fd;      /* readable when the program is to end; -1: SIGTERM ends the process at once */
        uint64_t came_us; /* when its request came, at the latest, by the monotonic clock; 0: nobody knows */
};

struct hl_response {
        int status;               /* 0: there is no answer yet */
        const char *content_type; /* static; NULL: no body, no Content-Type */
        struct hl_buf headers;    /* "Name: value\r\n"… */
        struct hl_buf body;

        /* Tells the rest, and returns at its end; NULL: none. */
        void (*stream)(void *data, const struct hl_stream *stream);
        void (*stream_free)(void *data);
        void *stream_data;
};

/* Whether who asked is not let in. */
static inline bool hl_status_refuses(int status)
{
        return status == 401 || status == 403;
}

const char *hl_status_reason(int status); /* "Not Found" */

void hl_response_free(struct hl_response *response);

void hl_response_header(struct hl_response *response, const char *name, const char *value);

/* Says how to authenticate: belongs to a 401. */
void hl_response_ask_token(struct hl_response *response);

/* The body is this JSON; takes it. */
void hl_response_json(struct hl_response *response, int status, hl_json *json);

/* Sets "status":"error", "code" and "message". */
void hl_error_fill(hl_json *json, const struct hl_problem *problem);

/* {"message":…,"type":…,"param":null,"code":…}: what clients of the OpenAI API look for below "error". The caller's. */
hl_json *hl_openai_error(const struct hl_problem *problem);

/* An error's answer, in the shape that the request's path asks for. The request may have no path yet. */
void hl_response_problem(struct hl_response *response, const struct hl_request *request,
                         const struct hl_problem *problem);

enum hl_head_form {
        HL_HEAD_HTTP, /* "HTTP/1.1 200 OK": the whole head */
        HL_HEAD_CGI,  /* "Status: 200 OK": the server in front adds the rest */
};

/* Appends the head, up to the empty line. `connection` ("close", "keep-alive" or NULL) is for HTTP alone. */
void hl_response_head(const struct hl_response *response, const struct hl_request *request, enum hl_head_form form,
                      const char *connection, struct hl_buf *out);

#endif
