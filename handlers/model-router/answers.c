/* SPDX-License-Identifier: MIT */
#include "answers.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/cors.h"

#include <errno.h>
#include <string.h>

#define RETRY_SECONDS 10 /* what a client is told after a failure; OpenAI's ignore more than 60 */

static void send(struct hl_router_request *request, const char *text, size_t len)
{
        hl_fastcgi_finish(hl_steal(request->fcgi), text, len);
        hl_router_request_free(request);
}

void hl_router_redirect(struct hl_router_request *request, const char *place, const char *headers)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("X-Accel-Redirect: @%s\r\n%s\r\n", place, headers);
        send(request, text, strlen(text));
}

void hl_router_redirect_to(struct hl_router_request *request, const char *place, const char *model, const char *headers)
{
        HL_CLEANUP(hl_free_pointer) char *location = hl_format("%s_%s", place, model);
        hl_router_redirect(request, location, headers);
}

void hl_router_answer(struct hl_router_request *request, struct hl_response *response)
{
        struct hl_buf text = { 0 };
        if (request->page == HL_PAGE_NAMED)
                hl_cors_add(&request->http, response);
        hl_response_head(response, &request->http, HL_HEAD_CGI, NULL, &text);
        if (request->http.method != HL_HEAD)
                hl_buf_add(&text, response->body.data, response->body.len);
        send(request, text.data, text.len);
        hl_buf_free(&text);
        hl_response_free(response);
}

void hl_router_refuse(struct hl_router_request *request, int status, const char *type, const char *model,
                      const struct hl_err *err)
{
        struct hl_response response = { 0 };
        hl_json *json = hl_json_new(), *error = hl_json_new();
        hl_json_set_string(error, "message", err->message);
        hl_json_set_string(error, "type", type);
        hl_json_set(error, "param", NULL);
        hl_json_set_string(error, "code", err->code);
        if (model && *model)
                hl_json_set_string(error, "model", model);
        if (request->cause && *request->cause)
                hl_json_set_string(error, "cause", request->cause);
        hl_json_set(json, "error", error);
        hl_response_json(&response, status, json);
        if (status == 503)
                hl_buf_addf(&response.headers, "Retry-After: %d\r\n", RETRY_SECONDS);
        if (status == 401)
                hl_response_header(&response, "WWW-Authenticate", "Bearer realm=\"home-lab-services\"");

        const char *peer = request->http.peer.name;
        const struct hl_log_field fields[] = {
                { "HL_MODEL", model }, { "HL_REQUEST_ID", request->http.id }, { "HL_PEER", peer }, { NULL, NULL }
        };
        hl_log(status >= 500 ? LOG_ERR : LOG_INFO, fields, "a request from %s: %d: %s [%s]", peer, status, err->message,
               request->http.id);
        hl_router_answer(request, &response);
}

void hl_router_refuse_request(struct hl_router_request *request, const struct hl_err *err)
{
        int status = err->kind == HL_ERR_TOO_LARGE     ? 413
                     : err->kind == HL_ERR_UNSUPPORTED ? 415
                     : err->kind == HL_ERR_NOT_FOUND   ? 404
                     : err->kind == HL_ERR_CONFLICT    ? 409
                                                       : 400;
        hl_router_refuse(request, status, "invalid_request_error", NULL, err);
}

void hl_router_refuse_unavailable(struct hl_router_request *request, const char *model, const struct hl_err *err)
{
        hl_router_refuse(request, 503, "model_unavailable", model, err);
}

void hl_router_refuse_problem(struct hl_router_request *request, const struct hl_problem *problem)
{
        struct hl_err err = { 0 };
        const char *type = problem->status >= 500   ? "server_error"
                           : problem->status == 401 ? "authentication_error"
                                                    : "invalid_request_error";
        hl_fail(&err, HL_ERR_INVALID, EINVAL, problem->code, "%s", problem->message);
        hl_router_refuse(request, problem->status, type, request->model, &err);
}
