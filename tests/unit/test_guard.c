/* http/guard: which host is meant, whose page asks, what a token lets its bearer do. */
#include "support.h"

#include "base/mem.h"
#include "http/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int scope_of(void *data, const char *secret)
{
        (void)data;
        if (strcmp(secret, "broken") == 0)
                return -EIO;
        return (int)hl_scope_bits(secret);
}

static const char *const host_names[] = { "lab.example.org", NULL };

struct guard_case {
        enum hl_method method;
        const char *host, *origin, *site, *authorization;
        bool local;
        int status; /* 0: admitted with the scope */
        const char *code;
        unsigned scopes;
};

#define CONTROL (HL_SCOPE_READ | HL_SCOPE_USE | HL_SCOPE_CONTROL)

static void expect_guard(const struct hl_guard *guard, const struct guard_case *c)
{
        struct hl_request r;
        struct hl_problem problem = { 0 };
        unsigned scopes = HL_SCOPE_NONE;
        hl_request_init(&r);
        r.method = c->method;
        r.host = hl_strdup(c->host);
        r.origin = hl_strdup(c->origin);
        r.sec_fetch_site = hl_strdup(c->site);
        r.authorization = hl_strdup(c->authorization);
        r.peer = (struct hl_peer){ .local = c->local, .name = "192.0.2.1" };
        int result = hl_guard_admit(guard, &r, &scopes, &problem);
        hl_request_free(&r);
        if (result != (c->status ? -EINVAL : 0) || problem.status != c->status || scopes != c->scopes ||
            (c->code && strcmp(problem.code, c->code) != 0))
                fail_msg("host %s, origin %s, site %s, token %s: %d %s, scopes %u", c->host, c->origin, c->site,
                         c->authorization, problem.status, problem.status ? problem.code : "-", scopes);
}

static void a_host_goes_by_its_names(void **state)
{
        (void)state;
        const struct hl_guard guard = { .trust_local = true, .host_names = host_names, .scopes_of = scope_of };
        static const char *const ours[] = {
                NULL,       "localhost",       "LOCALHOST:5001",     "127.0.0.1:5001", "[::1]",         "[::1]:5001",
                "10.1.2.3", "lab.example.org", "Lab.Example.Org:80", "localhost.",     "localhost.:80", "[fe80::1]:1"
        };
        static const char *const foreign[] = { "",
                                               "evil.example",
                                               "localhost.evil.example",
                                               "127.0.0.1.evil.example",
                                               "localhost:x",
                                               "localhost:99999",
                                               "[::1",
                                               "[::1]x",
                                               "[evil]",
                                               ":80",
                                               "lab.example.org.evil",
                                               "127.0.0.1:5001:1",
                                               "::1",
                                               "a b",
                                               "." };
        for (size_t i = 0; i < HL_COUNT(ours); i++)
                expect_guard(&guard, &(struct guard_case){ HL_POST, ours[i], .local = true, .scopes = HL_SCOPE_ALL });
        for (size_t i = 0; i < HL_COUNT(foreign); i++)
                for (int method = HL_GET; method <= HL_METHOD_OTHER; method++)
                        expect_guard(&guard, &(struct guard_case){ (enum hl_method)method, foreign[i], .local = true,
                                                                   .status = 403, .code = "host_not_allowed" });
        char own[256];
        must(gethostname(own, sizeof(own)) == 0);
        expect_guard(&guard, &(struct guard_case){ HL_POST, own, .local = true, .scopes = HL_SCOPE_ALL });
        own[strcspn(own, ".")] = '\0';
        char *local_name = hl_format("%s.local:5001", own), *other_domain = hl_format("%s.evil.example", own);
        expect_guard(&guard, &(struct guard_case){ HL_POST, local_name, .local = true, .scopes = HL_SCOPE_ALL });
        expect_guard(&guard, &(struct guard_case){ HL_POST, other_domain, .local = true, .status = 403,
                                                   .code = "host_not_allowed" });
        free(local_name);
        free(other_domain);
}

static void pages_of_others_change_nothing(void **state)
{
        (void)state;
        const struct hl_guard guard = { .trust_local = true, .scopes_of = scope_of };
        static const struct guard_case cases[] = {
                { HL_POST, "localhost:5001", "http://localhost:5001", NULL, NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_POST, "localhost:5001", "http://localhost:5001", "same-origin", NULL, true, 0, NULL,
                  HL_SCOPE_ALL },
                { HL_POST, "localhost", NULL, "none", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_POST, "localhost", "http://evil.example", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost:5001", "http://localhost", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "null", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, NULL, "http://localhost", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", NULL, "cross-site", NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", NULL, "same-site", NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "http://localhost", "cross-site", NULL, true, 403, "foreign_origin", 0 },
                { HL_METHOD_OTHER, "localhost", NULL, "cross-site", NULL, true, 403, "foreign_origin", 0 },
                { HL_GET, "localhost", "http://evil.example", "cross-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_HEAD, "localhost", NULL, "cross-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_OPTIONS, "localhost", NULL, "cross-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                /* A token does not make a page less foreign. */
                { HL_POST, "localhost", "http://evil.example", NULL, "Bearer power", false, 403, "foreign_origin", 0 },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_guard(&guard, &cases[i]);
}

static void other_peers_need_a_token(void **state)
{
        (void)state;
        struct hl_guard guard = { .trust_local = true, .scopes_of = scope_of };
        static const struct guard_case cases[] = {
                { HL_GET, NULL, NULL, NULL, NULL, false, 403, "token_required", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer read", false, 0, NULL, HL_SCOPE_READ },
                { HL_GET, NULL, NULL, NULL, "bearer   control", false, 0, NULL, CONTROL },
                { HL_GET, NULL, NULL, NULL, "Bearer power", false, 0, NULL, HL_SCOPE_ALL },
                { HL_GET, NULL, NULL, NULL, "Bearer wrong", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer ", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Basic power", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer broken", false, 500, "internal_error", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer wrong", true, 0, NULL, HL_SCOPE_ALL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_guard(&guard, &cases[i]);
        guard.trust_local = false;
        expect_guard(&guard, &(struct guard_case){ HL_GET, .local = true, .status = 403, .code = "token_required" });
        expect_guard(&guard, &(struct guard_case){ HL_GET, .authorization = "Bearer read", .local = true,
                                                   .scopes = HL_SCOPE_READ });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_host_goes_by_its_names),
                cmocka_unit_test(pages_of_others_change_nothing),
                cmocka_unit_test(other_peers_need_a_token),
        };
        return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
