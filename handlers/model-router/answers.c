/* SPDX-License-Identifier: MIT */
#include "answers.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/cors.h"

#include <string.h>

#define RETRY_SECONDS 10 /* what a client is told after a failure; OpenAI's ignore more than 60 */

static void send(struct hl_router_request *request, const char *text, size_t len)
{
        hl_fastcgi_finish(hl_steal(request->fcgi), text, len);
        hl_router_request_free(request);
}

void hl_router_redirect(struct hl_router_request *request, const char *place, const char *model, uint16_t port,
                        const char *headers)
{
        HL_CLEANUP(hl_free_pointer)
        char *text = hl_format("X-Accel-Redirect: @hl_%s\r\nX-HL-Model: %s\r\nX-HL-Port: %u\r\n%s\r\n", place, model,
                               port, headers);
        send(request, text, strlen(text));
}

void hl_router_run(struct hl_router_request *request, const char *model, uint16_t port)
{
        if (request->page != HL_PAGE_NAMED) {
                hl_router_redirect(request, "run", model, port, "");
                return;
        }
        HL_CLEANUP(hl_free_pointer) char *headers = hl_format("X-HL-Origin: %s\r\n", request->http.origin);
        hl_router_redirect(request, "page", model, port, headers);
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

/* model: "" where none is known. why: the sentence for the log. */
static void refuse(struct hl_router_request *request, const struct hl_problem *problem, hl_json *error,
                   const char *model, const char *why)
{
        struct hl_response response = { 0 };
        hl_json *json = hl_json_new();
        int status = problem->status;
        if (*model)
                hl_json_set_string(error, "model", model);
        if (request->cause && *request->cause)
                hl_json_set_string(error, "cause", request->cause);
        hl_json_set(json, "error", error);
        hl_response_json(&response, status, json);
        if (status == 503)
                hl_buf_addf(&response.headers, "Retry-After: %d\r\n", RETRY_SECONDS);
        if (status == 401)
                hl_response_ask_token(&response);

        const char *peer = request->http.peer.name;
        const struct hl_log_field fields[] = {
                { "HL_MODEL", model }, { "HL_REQUEST_ID", request->http.id }, { "HL_PEER", peer }, { NULL, NULL }
        };
        hl_log(status >= 500 ? LOG_ERR : LOG_INFO, fields, "a request from %s: %d: %s [%s]", peer, status, why,
               request->http.id);
        hl_router_answer(request, &response);
}

void hl_router_refuse_problem(struct hl_router_request *request, const struct hl_problem *problem)
{
        refuse(request, problem, hl_openai_error(problem), request->model, problem->message);
}

void hl_router_refuse(struct hl_router_request *request, const struct hl_err *err)
{
        const struct hl_problem problem = hl_problem_of(err);
        refuse(request, &problem, hl_openai_error(&problem), "", err->message);
}

static void refuse_model(struct hl_router_request *request, int status, const char *model, const struct hl_err *err)
{
        struct hl_problem problem = hl_problem_of(err);
        problem.status = status;
        hl_json *error = hl_openai_error(&problem);
        hl_json_set_string(error, "type", "model_unavailable");
        refuse(request, &problem, error, model, err->message);
}

void hl_router_refuse_unavailable(struct hl_router_request *request, const char *model, const struct hl_err *err)
{
        refuse_model(request, 503, model, err);
}

void hl_router_refuse_interrupted(struct hl_router_request *request, const char *model, const struct hl_err *err)
{
        refuse_model(request, hl_status_of(err->kind), model, err);
}
