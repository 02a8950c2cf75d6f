/* SPDX-License-Identifier: MIT */
#include "admit.h"

#include "base/err.h"
#include "base/log.h"
#include "config/tokens.h"
#include "http/cors.h"
#include "http/guard.h"

static int scopes_of(void *data, const char *secret)
{
        struct hl_token token;
        return hl_tokens_scopes(secret, &token, data);
}

/* A page that is not named may use a model as far as the model itself allows: what a browser does not ask about first,
 * and what it asks the router about, is refused. */
static int admit_page(const struct hl_guard *guard, const struct hl_router_request *request,
                      struct hl_problem *ret_problem)
{
        int r = hl_guard_admit_host(guard, &request->http, ret_problem);
        if (r < 0 || request->page == HL_PAGE_NAMED)
                return r;
        bool asks_us = request->page == HL_PAGE_FOREIGN && request->call == HL_ROUTER_ROUTE &&
                       hl_cors_is_preflight(&request->http);
        if (request->is_forged || asks_us)
                return hl_problem(
                        ret_problem, 403, "foreign_origin",
                        "a page of another origin may use a model only by JSON or with a key, where the model "
                        "allows it, or if auth.allowed_origins names it");
        return 0;
}

int hl_router_admit(const struct hl_config *config, struct hl_router_request *request, struct hl_problem *ret_problem)
{
        struct hl_err err = { 0 };
        unsigned scopes = 0;
        const struct hl_guard guard = { .trust_local = config->trust_loopback,
                                        .trust_all = !config->models_need_token,
                                        .models = true,
                                        .host_names = config->allowed_hosts,
                                        .origins = config->allowed_origins,
                                        .scopes_of = scopes_of,
                                        .data = &err };
        request->page = hl_guard_page(&guard, &request->http);
        int r = admit_page(&guard, request, ret_problem);
        if (r < 0 || (request->page == HL_PAGE_NAMED && hl_cors_is_preflight(&request->http)))
                return r; /* a browser sends no key with a preflight */
        r = hl_guard_admit_peer(&guard, &request->http, &scopes, ret_problem);
        if (err.kind)
                hl_log(LOG_ERR, NULL, "%s", err.message);
        if (r == 0 && !(scopes & HL_SCOPE_USE))
                return hl_problem(ret_problem, 403, "scope_too_small",
                                  "to use a model needs a token with the scope \"use\"");
        return r;
}
