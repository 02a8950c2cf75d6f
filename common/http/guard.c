#include "guard.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const scope_names[] = {
        [HL_SCOPE_NONE] = "none", [HL_SCOPE_READ] = "read", [HL_SCOPE_CONTROL] = "control", [HL_SCOPE_POWER] = "power"
};

const char *hl_scope_name(enum hl_scope scope)
{
        return scope_names[scope];
}

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
        if (*rest && (*rest != ':' || hl_parse_uint(rest + 1, 65535, &port) < 0))
                return NULL;
        if (end > start && end[-1] == '.')
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

bool hl_guard_is_our_host(const struct hl_guard *guard, const char *host)
{
        HL_CLEANUP(hl_free_pointer) char *name = host_without_port(host);
        if (!name)
                return false;
        struct in6_addr address; /* large enough for both families */
        if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
                return true;
        if (strcasecmp(name, "localhost") == 0 || is_own_name(name))
                return true;
        for (const char *const *known = guard->host_names; known && *known; known++)
                if (strcasecmp(name, *known) == 0)
                        return true;
        return false;
}

/* A browser names the page that sends a request. Programs send neither header. */
static bool is_foreign_page(const struct hl_request *request)
{
        const char *site = request->sec_fetch_site, *origin = request->origin;
        if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
                return true;
        if (!origin)
                return false;
        const char *authority = strstr(origin, "://");
        return !authority || !request->host || strcasecmp(authority + 3, request->host) != 0;
}

static int admit_by_token(const struct hl_guard *guard, const struct hl_request *request, enum hl_scope *ret_scope,
                          struct hl_problem *ret_problem)
{
        const char *authorization = request->authorization;
        if (!authorization)
                return hl_problem(ret_problem, 403, "token_required",
                                  "requests from %s need a token: make one with "
                                  "\"home-lab-services token add NAME --scope read\" (or control, to start and stop "
                                  "models, or power, to shut down) and send it as \"Authorization: Bearer TOKEN\"",
                                  request->peer.name);
        if (strncasecmp(authorization, "Bearer ", 7) != 0)
                return hl_problem(ret_problem, 401, "token_invalid",
                                  "send the token as \"Authorization: Bearer TOKEN\"");

        int scope = guard->scope_of(guard->data, authorization + 7 + strspn(authorization + 7, " "));
        if (scope < 0)
                return hl_problem(ret_problem, 500, "internal_error",
                                  "the tokens cannot be read; the journal says why");
        if (scope == HL_SCOPE_NONE)
                return hl_problem(ret_problem, 401, "token_invalid",
                                  "this token is not known: \"home-lab-services token list\" shows those that are");
        *ret_scope = (enum hl_scope)scope;
        return 0;
}

int hl_guard_admit(const struct hl_guard *guard, const struct hl_request *request, enum hl_scope *ret_scope,
                   struct hl_problem *ret_problem)
{
        if (request->host && !hl_guard_is_our_host(guard, request->host))
                return hl_problem(ret_problem, 403, "host_not_allowed",
                                  "this host does not go by that name: use its address or add the name to "
                                  "auth.allowed_hosts");
        bool changes = request->method == HL_POST || request->method == HL_METHOD_OTHER;
        if (changes && is_foreign_page(request))
                return hl_problem(ret_problem, 403, "foreign_origin",
                                  "pages of other origins may not change anything here");
        /* A proxy on this machine is local; whom it asks for need not be. */
        if (guard->trust_local && request->peer.local && !request->forwarded) {
                *ret_scope = HL_SCOPE_POWER;
                return 0;
        }
        return admit_by_token(guard, request, ret_scope, ret_problem);
}
