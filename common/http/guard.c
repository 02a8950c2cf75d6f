/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include "base/mem.h"
#include "base/origin.h"
#include "base/str.h"
#include "cors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The host part of "host", "host:port", "[::1]" or "[::1]:port"; NULL where it is none of these. free() */
static char *host_without_port(const char *host)
{
        const char *start = host, *end = host + strcspn(host, ":"), *rest = end;
        if (*host == '[') {
                start = host + 1;
                end = start + strcspn(start, "]");
                if (*end != ']')
                        return NULL;
                rest = end + 1;
        }
        uint64_t port;
        if (*rest && (*rest != ':' || (rest[1] && hl_parse_uint(rest + 1, 65535, &port) < 0)))
                return NULL;
        if (strncasecmp(host, "[fe80:", 6) == 0) /* an address of one link, which some clients name: "[fe80::1%eth0]" */
                end = start + strcspn(start, "%]");
        if (rest == end && end > start && end[-1] == '.')
                end--;
        return end > start ? hl_strndup(start, (size_t)(end - start)) : NULL;
}

/* This machine's name as `hostname` says it, its first label, and that label in mDNS's domain. */
static bool is_own_name(const char *name)
{
        char own[256];
        if (gethostname(own, sizeof(own)) < 0)
                return false;
        own[sizeof(own) - 1] = '\0';
        size_t label = strcspn(own, ".");
        if (strcasecmp(name, own) == 0)
                return true;
        return label > 0 && strncasecmp(name, own, label) == 0 &&
               (!name[label] || strcasecmp(name + label, ".local") == 0);
}

/* Whether a Host header means this machine: its address, a name of its own, or one of host_names. */
static bool is_our_host(const struct hl_guard *guard, const char *host)
{
        HL_CLEANUP(hl_free_pointer) char *name = host_without_port(host);
        if (!name)
                return false;
        struct in6_addr address; /* large enough for both families */
        if (*host == '[')
                return inet_pton(AF_INET6, name, &address) == 1;
        if (inet_pton(AF_INET, name, &address) == 1)
                return true;
        if (strcasecmp(name, "localhost") == 0 || is_own_name(name))
                return true;
        for (const char *const *known = guard->host_names; known && *known; known++)
                if (strcasecmp(name, *known) == 0)
                        return true;
        return false;
}

static bool is_named(const struct hl_guard *guard, const char *origin)
{
        for (const char *const *named = guard->origins; named && *named; named++)
                if (hl_origin_is(*named, origin))
                        return true;
        return false;
}

/* Whether the page came from the host and port that it asks. */
static bool is_own(const struct hl_request *request)
{
        const char *origin = request->origin;
        const char *authority = hl_has_prefix(origin, "http://")    ? origin + strlen("http://")
                                : hl_has_prefix(origin, "https://") ? origin + strlen("https://")
                                                                    : NULL;
        return authority && request->host && strcasecmp(authority, request->host) == 0;
}

enum hl_page hl_guard_page(const struct hl_guard *guard, const struct hl_request *request)
{
        const char *site = request->sec_fetch_site, *origin = request->origin;
        if (origin && is_named(guard, origin))
                return HL_PAGE_NAMED;
        if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
                return HL_PAGE_FOREIGN;
        if (origin)
                return is_own(request) ? HL_PAGE_OWN : HL_PAGE_FOREIGN;
        return site && strcmp(site, "same-origin") == 0 ? HL_PAGE_OWN : HL_PAGE_NONE;
}

static bool may_change(enum hl_method method)
{
        return hl_method_has_body(method) || method == HL_METHOD_OTHER;
}

/* A change that a page sends from an origin where models have pages, too. Whose page it is, nobody can tell. */
static bool is_of_models_origin(const struct hl_guard *guard, const struct hl_request *request)
{
        return request->shares_origin && may_change(request->method) && hl_guard_page(guard, request) == HL_PAGE_OWN;
}

#define ORIGIN_SHOWN_MAX 80 /* bytes */

static int refuse_page(const struct hl_request *request, struct hl_problem *ret_problem)
{
        const char *origin = request->origin && *request->origin ? request->origin : "unknown";
        HL_CLEANUP(hl_free_pointer) char *shown = hl_strndup(origin, strnlen(origin, ORIGIN_SHOWN_MAX));
        hl_make_printable(shown);
        return hl_problem(
                ret_problem, 403, "foreign_origin",
                "pages of other origins may not change anything here, unless auth.allowed_origins names them; "
                "this one's origin is: %s",
                shown);
}

int hl_guard_admit_host(const struct hl_guard *guard, const struct hl_request *request, struct hl_problem *ret_problem)
{
        if (!request->host || is_our_host(guard, request->host))
                return 0;
        return hl_problem(ret_problem, 403, "host_not_allowed",
                          "this host does not go by that name: use its address or add the name to "
                          "auth.allowed_hosts");
}

int hl_guard_admit_page(const struct hl_guard *guard, const struct hl_request *request, struct hl_problem *ret_problem)
{
        int r = hl_guard_admit_host(guard, request, ret_problem);
        if (r < 0)
                return r;
        bool changes = may_change(request->method) || hl_cors_is_preflight(request);
        if (changes && hl_guard_page(guard, request) == HL_PAGE_FOREIGN)
                return refuse_page(request, ret_problem);
        return 0;
}

static const char *bearer(const char *authorization)
{
        static const char scheme[] = "Bearer ";
        const size_t len = sizeof(scheme) - 1;
        if (!authorization || strncasecmp(authorization, scheme, len) != 0)
                return NULL;
        return authorization + len + strspn(authorization + len, " ");
}

/* What a request brings as its token: one that looks like ours, for clients send others' keys along. NULL: nothing. */
static const char *find_secret(const struct hl_request *request)
{
        const char *sent[] = { bearer(request->authorization), request->x_api_key, request->api_key }, *first = NULL;
        for (size_t i = 0; i < HL_COUNT(sent); i++) {
                if (sent[i] && hl_has_prefix(sent[i], HL_TOKEN_PREFIX))
                        return sent[i];
                if (!first && sent[i] && *sent[i])
                        first = sent[i];
        }
        return first;
}

#define HOW_TO_SEND "as \"Authorization: Bearer TOKEN\", x-api-key or api-key"
#define HOW_TO_MAKE "make one with \"home-lab-services token add NAME --scope "

/* why: what speaks against a peer on this machine, or NULL. */
static int refuse_peer(const struct hl_guard *guard, const struct hl_request *request, const char *why,
                       struct hl_problem *ret_problem)
{
        const char *peer = request->peer.name;
        if (request->peer.local && request->forwarded)
                peer = "a proxy on this machine (X-Forwarded-For or the like)";
        if (why)
                return hl_problem(ret_problem, 403, "token_required",
                                  "%s; or send a token, " HOW_TO_SEND ": " HOW_TO_MAKE "control\"", why);
        if (request->authorization)
                return hl_problem(ret_problem, 401, "token_invalid", "send the token " HOW_TO_SEND);
        if (guard->models || hl_request_is_openai(request))
                return hl_problem(ret_problem, 401, "token_required",
                                  "requests from %s need a token, " HOW_TO_SEND ": " HOW_TO_MAKE "use\"", peer);
        if (is_of_models_origin(guard, request))
                return hl_problem(ret_problem, 403, "token_required",
                                  "a page needs a token to change anything here, because models have pages of the same "
                                  "origin; send it " HOW_TO_SEND ": " HOW_TO_MAKE "control\" (or power, to shut down)");
        return hl_problem(ret_problem, 403, "token_required",
                          "requests from %s need a token, " HOW_TO_SEND ": " HOW_TO_MAKE
                          "read\" (or control, to start and stop models, or power, to shut down)",
                          peer);
}

static int refuse_secret(const char *secret, struct hl_problem *ret_problem)
{
        const char *token = strstr(secret, HL_TOKEN_PREFIX);
        if (token && (token != secret || strlen(token) != strlen(HL_TOKEN_PREFIX) + HL_TOKEN_DIGITS))
                return hl_problem(ret_problem, 401, "token_invalid",
                                  "the token is not as it was printed: send it whole, without quotes, and \"Bearer\" "
                                  "once");
        return hl_problem(ret_problem, 401, "token_invalid",
                          "this token is not known: \"home-lab-services token list\" shows those that are");
}

int hl_guard_admit_peer(const struct hl_guard *guard, const struct hl_request *request, unsigned *ret_scopes,
                        struct hl_problem *ret_problem)
{
        /* A proxy on this machine is local; whom it asks for need not be. */
        bool local = request->peer.local && !request->forwarded && !is_of_models_origin(guard, request);
        const char *why = NULL;
        unsigned given = HL_SCOPE_NONE;
        if (guard->trust_all || (guard->trust_local && local && !guard->scopes_of_local))
                given = HL_SCOPE_ALL;
        else if (guard->trust_local && local)
                given = guard->scopes_of_local(guard->data, &request->peer, &why);
        const char *secret = given == HL_SCOPE_ALL ? NULL : find_secret(request);
        if (!secret && given != HL_SCOPE_NONE) {
                *ret_scopes = given;
                return 0;
        }
        if (!secret)
                return refuse_peer(guard, request, why, ret_problem);
        int scopes = guard->scopes_of(guard->data, secret);
        if (scopes == -EAGAIN)
                return hl_problem(ret_problem, 503, "configuration_unreadable",
                                  "the tokens cannot be read for the moment; the journal says why");
        if (scopes < 0)
                return hl_problem(ret_problem, 500, "internal_error",
                                  "the tokens cannot be read; the journal says why");
        if (scopes == HL_SCOPE_NONE && given == HL_SCOPE_NONE)
                return refuse_secret(secret, ret_problem);
        *ret_scopes = given | (unsigned)scopes;
        return 0;
}

int hl_guard_refuse_scope(const struct hl_request *request, unsigned needed, unsigned scopes,
                          struct hl_problem *ret_problem)
{
        if (!find_secret(request))
                return hl_problem(ret_problem, 403, "scope_too_small",
                                  "models, and programs of Home Lab Services, do this only with a token of the scope "
                                  "\"%s\", " HOW_TO_SEND ": " HOW_TO_MAKE "%s\"",
                                  hl_scope_name(needed), hl_scope_name(needed));
        return hl_problem(ret_problem, 403, "scope_too_small",
                          "this needs a token with the scope \"%s\"; yours has \"%s\"", hl_scope_name(needed),
                          hl_scope_name(scopes));
}
