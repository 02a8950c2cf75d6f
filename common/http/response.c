/* SPDX-License-Identifier: MIT */
#include "response.h"

#include "base/mem.h"

#include <string.h>
#include <time.h>

static const struct {
        int status;
        const char *reason;
} reasons[] = {
        { 200, "OK" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
};

const char *hl_status_reason(int status)
{
        for (size_t i = 0; i < HL_COUNT(reasons); i++)
                if (reasons[i].status == status)
                        return reasons[i].reason;
        return "Unknown";
}

void hl_response_free(struct hl_response *response)
{
        hl_buf_free(&response->headers);
        hl_buf_free(&response->body);
        if (response->stream)
                response->stream_free(response->stream_data);
        *response = (struct hl_response){ 0 };
}

void hl_response_header(struct hl_response *response, const char *name, const char *value)
{
        for (const char *c = value; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7F)
                        return;
        hl_buf_addf(&response->headers, "%s: %s\r\n", name, value);
}

void hl_response_ask_token(struct hl_response *response)
{
        hl_response_header(response, "WWW-Authenticate", "Bearer realm=\"home-lab-services\"");
}

void hl_response_json(struct hl_response *response, int status, hl_json *json)
{
        response->status = status;
        response->content_type = "application/json";
        hl_buf_free(&response->body);
        hl_json_print(json, &response->body);
        hl_json_free(json);
}

void hl_error_fill(hl_json *json, const struct hl_problem *problem)
{
        hl_json_set_string(json, "status", "error");
        hl_json_set_string(json, "code", problem->code);
        hl_json_set_string(json, "message", problem->message);
}

static const char *openai_error_type(int status)
{
        return status >= 500   ? "server_error"
               : status == 401 ? "authentication_error"
               : status == 403 ? "permission_error"
                               : "invalid_request_error";
}

hl_json *hl_openai_error(const struct hl_problem *problem)
{
        hl_json *error = hl_json_new();
        hl_json_set_string(error, "message", problem->message);
        hl_json_set_string(error, "type", openai_error_type(problem->status));
        hl_json_set_string(error, "param", NULL);
        hl_json_set_string(error, "code", problem->code);
        return error;
}

void hl_response_problem(struct hl_response *response, const struct hl_request *request,
                         const struct hl_problem *problem)
{
        hl_json *json = hl_json_new();
        if (hl_request_is_openai(request))
                hl_json_set(json, "error", hl_openai_error(problem));
        else
                hl_error_fill(json, problem);
        hl_response_json(response, problem->status, json);
}

void hl_response_head(const struct hl_response *response, const struct hl_request *request, enum hl_head_form form,
                      const char *connection, struct hl_buf *out)
{
        hl_buf_addf(out, "%s %d %s\r\n", form == HL_HEAD_HTTP ? "HTTP/1.1" : "Status:", response->status,
                    hl_status_reason(response->status));
        if (form == HL_HEAD_HTTP) {
                char date[64];
                time_t now = time(NULL);
                struct tm utc;
                strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
                hl_buf_addf(out, "Date: %s\r\n", date);
        }
        if (response->content_type)
                hl_buf_addf(out, "Content-Type: %s\r\n", response->content_type);
        if (response->status != 204 && !response->stream) /* else it ends with its connection */
                hl_buf_addf(out, "Content-Length: %zu\r\n", response->body.len);
        hl_buf_adds(out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
        hl_buf_addf(out, "X-Request-Id: %s\r\n", request->id);
        hl_buf_add(out, response->headers.data, response->headers.len);
        if (form == HL_HEAD_HTTP && connection)
                hl_buf_addf(out, "Connection: %s\r\n", connection);
        hl_buf_adds(out, "\r\n");
}
