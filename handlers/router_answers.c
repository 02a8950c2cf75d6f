#include "router_answers.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/response.h"

#include <string.h>

#define RETRY_SECONDS 10 /* what a client is told after a failure; OpenAI's ignore more than 60 */

void hl_router_redirect(struct hl_fastcgi_request *request, const char *place, const char *model, const char *header)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("X-Accel-Redirect: @%s_%s\r\n%s\r\n", place, model, header);
        hl_fastcgi_finish(request, text, strlen(text));
}

void hl_router_refuse(struct hl_fastcgi_request *fcgi, int status, const char *type, const char *model,
                      const struct hl_err *err)
{
        struct hl_request request;
        struct hl_response response = { 0 };
        struct hl_buf text = { 0 };
        hl_json *json = hl_json_new(), *error = hl_json_new();
        hl_json_set_string(error, "message", err->message);
        hl_json_set_string(error, "type", type);
        hl_json_set_string(error, "code", err->code);
        if (model)
                hl_json_set_string(error, "model", model);
        hl_json_set(json, "error", error);
        hl_response_json(&response, status, json);
        if (status == 503)
                hl_buf_addf(&response.headers, "Retry-After: %d\r\n", RETRY_SECONDS);

        hl_request_init(&request);
        hl_response_head(&response, &request, HL_HEAD_CGI, NULL, &text);
        hl_buf_add(&text, response.body.data, response.body.len);
        const char *peer = hl_fastcgi_get(fcgi, "REMOTE_ADDR");
        const struct hl_log_field fields[] = {
                { "HL_MODEL", model }, { "HL_REQUEST_ID", request.id }, { "HL_PEER", peer }, { NULL, NULL }
        };
        hl_log(status >= 500 ? LOG_ERR : LOG_INFO, fields, "a request from %s: %d: %s [%s]", peer ? peer : "?", status,
               err->message, request.id);
        hl_fastcgi_finish(fcgi, text.data, text.len);
        hl_buf_free(&text);
        hl_response_free(&response);
        hl_request_free(&request);
}

void hl_router_refuse_unavailable(struct hl_fastcgi_request *fcgi, const char *model, const struct hl_err *err)
{
        hl_router_refuse(fcgi, 503, "model_unavailable", model, err);
}
