/* SPDX-License-Identifier: MIT */
#include "server.h"

void hl_server_refuse(const struct hl_server *server, const struct hl_request *request,
                      const struct hl_problem *problem, struct hl_response *response)
{
        if (server->refuse)
                server->refuse(server->service, request, problem, response);
        else
                hl_response_problem(response, request, problem);
}
