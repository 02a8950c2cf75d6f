/* SPDX-License-Identifier: MIT */
#include "cors.h"

#include <string.h>
#include <strings.h>

/* All that a model's server may know, beside what the services do. */
#define METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
#define EXPOSED "X-Request-Id, Retry-After"

/* Names of headers as browsers list them: tokens of RFC 9110 5.6.2, commas and spaces between them. */
#define NAME_CHARACTERS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define TEXT_OF(number) TEXT(number)
#define TEXT(number) #number

void hl_cors_add(const struct hl_request *request, struct hl_response *response)
{
        hl_response_header(response, "Access-Control-Allow-Origin", request->origin);
        hl_response_header(response, "Access-Control-Expose-Headers", EXPOSED);
        hl_response_header(response, "Vary", "Origin");
}

bool hl_cors_is_preflight(const struct hl_request *request)
{
        return request->method == HL_OPTIONS && request->origin && request->ac_request_method;
}

void hl_cors_preflight(const struct hl_request *request, struct hl_response *response)
{
        const char *headers = request->ac_request_headers, *private_network = request->ac_request_private_network;
        response->status = 204;
        hl_response_header(response, "Access-Control-Allow-Methods", METHODS);
        if (headers && *headers && !headers[strspn(headers, NAME_CHARACTERS ", ")])
                hl_response_header(response, "Access-Control-Allow-Headers", headers);
        if (private_network && strcasecmp(private_network, "true") == 0)
                hl_response_header(response, "Access-Control-Allow-Private-Network", "true");
        hl_response_header(response, "Access-Control-Max-Age", TEXT_OF(HL_CORS_MAX_AGE_SECONDS));
}
