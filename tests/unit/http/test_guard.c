/* SPDX-License-Identifier: MIT */
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
        if (strcmp(secret, "later") == 0)
                return -EAGAIN;
        return (int)hl_scope_bits(secret);
}

#define WHOLE "hls_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const host_names[] = { "lab.example.org", NULL };

struct guard_case {
        enum hl_method method;
        const char *host, *origin, *site, *authorization;
        bool local;
        int status; /* 0: admitted with the scope */
        const char *code;
        unsigned scopes;
};

#define READ (HL_SCOPE_READ | HL_SCOPE_LOGS)
#define CONTROL (HL_SCOPE_ALL & ~(unsigned)HL_SCOPE_POWER)

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
        int result = hl_guard_admit_page(guard, &r, &problem);
        if (result == 0)
                result = hl_guard_admit_peer(guard, &r, &scopes, &problem);
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
        static const char *const ours[] = { NULL,
                                            "localhost",
                                            "LOCALHOST:5001",
                                            "127.0.0.1:5001",
                                            "[::1]",
                                            "[::1]:5001",
                                            "10.1.2.3",
                                            "lab.example.org",
                                            "Lab.Example.Org:80",
                                            "localhost.",
                                            "localhost.:80",
                                            "[fe80::1]:1",
                                            "localhost:",
                                            "[::1]:",
                                            "[fe80::1%eth0]:5001",
                                            "[fe80::1%25eth0]" };
        static const char *const foreign[] = { "",
                                               "evil.example",
                                               "localhost.evil.example",
                                               "127.0.0.1.evil.example",
                                               "localhost:x",
                                               "localhost:99999",
                                               "[::1",
                                               "[::1]x",
                                               "[localhost]",
                                               "[127.0.0.1]",
                                               "[::1.]",
                                               "::1",
                                               "[evil]",
                                               "[%eth0]",
                                               "[evil%eth0]",
                                               "127.0.0.1%eth0",
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
                { HL_PUT, "localhost", "http://evil.example", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_PATCH, "localhost", NULL, "cross-site", NULL, true, 403, "foreign_origin", 0 },
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
                { HL_GET, NULL, NULL, NULL, "Bearer read", false, 0, NULL, READ },
                { HL_GET, NULL, NULL, NULL, "bearer   control", false, 0, NULL, CONTROL },
                { HL_GET, NULL, NULL, NULL, "BEARER use", false, 0, NULL, HL_SCOPE_USE },
                { HL_GET, NULL, NULL, NULL, "Bearer power", false, 0, NULL, HL_SCOPE_ALL },
                { HL_GET, NULL, NULL, NULL, "Bearer wrong", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer ", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Basic power", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "", false, 401, "token_invalid", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer broken", false, 500, "internal_error", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer later", false, 503, "configuration_unreadable", 0 },
                { HL_GET, NULL, NULL, NULL, "Bearer wrong", true, 0, NULL, HL_SCOPE_ALL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_guard(&guard, &cases[i]);
        guard.trust_local = false;
        expect_guard(&guard, &(struct guard_case){ HL_GET, .local = true, .status = 403, .code = "token_required" });
        expect_guard(&guard,
                     &(struct guard_case){ HL_GET, .authorization = "Bearer read", .local = true, .scopes = READ });
}

static const char *const origins[] = { "https://chat.example", "http://localhost:3000", "null", "app://*", NULL };

static void named_pages_may_do_what_others_may_not(void **state)
{
        (void)state;
        struct hl_guard guard = { .trust_local = true, .origins = origins, .scopes_of = scope_of };
        static const struct guard_case cases[] = {
                { HL_POST, "localhost:5001", "https://chat.example", "cross-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_POST, "localhost:5001", "https://chat.example", NULL, NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_POST, "localhost:5001", "http://localhost:3000", "same-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_METHOD_OTHER, "localhost", "null", "cross-site", NULL, true, 0, NULL, HL_SCOPE_ALL },
                { HL_POST, "localhost", "app://obsidian.md", NULL, NULL, true, 0, NULL, HL_SCOPE_ALL },
                /* Its own token is all that it has. */
                { HL_POST, "localhost", "https://chat.example", NULL, "Bearer read", false, 0, NULL, READ },
                { HL_POST, "localhost", "https://chat.example", NULL, NULL, false, 403, "token_required", 0 },
                /* Not these. */
                { HL_POST, "localhost", "http://chat.example", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "https://chat.example.evil", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "http://localhost:3001", "same-site", NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "tauri://localhost", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", "", NULL, NULL, true, 403, "foreign_origin", 0 },
                { HL_POST, "localhost", NULL, "cross-site", NULL, true, 403, "foreign_origin", 0 },
                /* A name of this host comes first: no rebinding. */
                { HL_POST, "evil.example", "https://chat.example", NULL, NULL, true, 403, "host_not_allowed", 0 },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_guard(&guard, &cases[i]);
        guard.origins = NULL;
        expect_guard(&guard, &(struct guard_case){ HL_POST, "localhost", "null", .local = true, .status = 403,
                                                   .code = "foreign_origin" });
}

static void pages_are_told_apart(void **state)
{
        (void)state;
        const struct hl_guard guard = { .origins = origins };
        static const struct {
                const char *host, *origin, *site;
                enum hl_page page;
        } cases[] = {
                { "localhost", NULL, NULL, HL_PAGE_NONE },
                { "localhost", NULL, "none", HL_PAGE_NONE },
                { "localhost", NULL, "same-origin", HL_PAGE_OWN },
                { "localhost:1", "http://localhost:1", NULL, HL_PAGE_OWN },
                { "localhost:1", "https://LOCALHOST:1", "same-origin", HL_PAGE_OWN },
                { "localhost", "tauri://localhost", NULL, HL_PAGE_FOREIGN }, /* a program's page has no host of ours */
                { "localhost:3000", "http://localhost:3000", "same-origin", HL_PAGE_NAMED },
                { NULL, "null", "cross-site", HL_PAGE_NAMED },
                { "localhost", "app://x", "cross-site", HL_PAGE_NAMED },
                { "localhost", "http://evil.example", "none", HL_PAGE_FOREIGN },
                { "localhost", "http://localhost", "same-site", HL_PAGE_FOREIGN },
                { "localhost", NULL, "whatever", HL_PAGE_FOREIGN },
                { "localhost", "", NULL, HL_PAGE_FOREIGN },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_request r;
                hl_request_init(&r);
                r.host = hl_strdup(cases[i].host);
                r.origin = hl_strdup(cases[i].origin);
                r.sec_fetch_site = hl_strdup(cases[i].site);
                if (hl_guard_page(&guard, &r) != cases[i].page)
                        fail_msg("host %s, origin %s, site %s: %d", cases[i].host, cases[i].origin, cases[i].site,
                                 (int)hl_guard_page(&guard, &r));
                hl_request_free(&r);
        }
}

static void a_preflight_of_another_page_is_refused(void **state)
{
        (void)state;
        const struct hl_guard guard = { .origins = origins };
        struct hl_problem problem = { 0 };
        struct hl_request r;
        hl_request_init(&r);
        r.method = HL_OPTIONS;
        r.origin = hl_strdup("http://evil.example\x01");
        assert_int_equal(hl_guard_admit_page(&guard, &r, &problem), 0); /* it only looks */
        r.ac_request_method = hl_strdup("POST");
        assert_int_equal(hl_guard_admit_page(&guard, &r, &problem), -EINVAL);
        assert_string_equal(problem.code, "foreign_origin");
        assert_non_null(strstr(problem.message, "auth.allowed_origins"));
        assert_non_null(strstr(problem.message, "http://evil.example?")); /* what to name, and nothing unprintable */
        free(r.origin);
        r.origin = hl_strdup("app://x");
        assert_int_equal(hl_guard_admit_page(&guard, &r, &problem), 0);
        hl_request_free(&r);
}

static int scope_of_ours(void *data, const char *secret)
{
        (void)data;
        return strcmp(secret, "hls_a") == 0   ? HL_SCOPE_READ
               : strcmp(secret, "hls_b") == 0 ? HL_SCOPE_USE
                                              : HL_SCOPE_NONE;
}

static void a_token_comes_in_any_of_three_headers(void **state)
{
        (void)state;
        const struct hl_guard guard = { .trust_local = true, .scopes_of = scope_of_ours };
        static const struct {
                const char *authorization, *x_api_key, *api_key;
                int status;
                unsigned scopes;
        } cases[] = {
                { "Bearer hls_a", NULL, NULL, 0, HL_SCOPE_READ },
                { NULL, "hls_a", NULL, 0, HL_SCOPE_READ },
                { NULL, NULL, "hls_a", 0, HL_SCOPE_READ },
                /* Other keys may be there, too. */
                { "Bearer sk-1", "hls_a", NULL, 0, HL_SCOPE_READ },
                { "Bearer sk-1", "sk-2", "hls_a", 0, HL_SCOPE_READ },
                { "Basic dTpw", NULL, "hls_a", 0, HL_SCOPE_READ },
                { "Bearer ", "hls_a", NULL, 0, HL_SCOPE_READ },
                { NULL, "", "hls_a", 0, HL_SCOPE_READ },
                /* Of two of ours the first is meant. */
                { "Bearer hls_b", "hls_a", NULL, 0, HL_SCOPE_USE },
                { NULL, "hls_a", "hls_b", 0, HL_SCOPE_READ },
                { "Bearer hls_0", "hls_a", NULL, 401, 0 },
                { NULL, "sk-1", NULL, 401, 0 },
                { NULL, "Bearer hls_a", NULL, 401, 0 },
                { "hls_a", NULL, NULL, 401, 0 },
                { "Basic hls_a", NULL, NULL, 401, 0 },
                { "Digest x", "", "", 401, 0 },
                { "Token hls_a", NULL, NULL, 401, 0 },
                { NULL, "", "", 403, 0 },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_request r;
                struct hl_problem problem = { 0 };
                unsigned scopes = HL_SCOPE_NONE;
                hl_request_init(&r);
                r.authorization = hl_strdup(cases[i].authorization);
                r.x_api_key = hl_strdup(cases[i].x_api_key);
                r.api_key = hl_strdup(cases[i].api_key);
                hl_guard_admit_peer(&guard, &r, &scopes, &problem);
                if (problem.status != cases[i].status || scopes != cases[i].scopes)
                        fail_msg("%s, %s, %s: %d, scopes %u", cases[i].authorization, cases[i].x_api_key,
                                 cases[i].api_key, problem.status, scopes);
                hl_request_free(&r);
        }
}

static void who_has_no_token_is_told_how_to_send_one(void **state)
{
        (void)state;
        struct hl_guard guard = { .trust_local = true, .scopes_of = scope_of };
        struct hl_problem problem = { 0 };
        struct hl_request r;
        unsigned scopes = 0;
        hl_request_init(&r);
        snprintf(r.peer.name, sizeof(r.peer.name), "2001:0db8:0000:0000:0000:0000:0000:0001");
        r.path = hl_strdup("/models");
        assert_int_equal(hl_guard_admit_peer(&guard, &r, &scopes, &problem), -EINVAL);
        assert_int_equal(problem.status, 403);
        assert_non_null(strstr(problem.message, "\"Authorization: Bearer TOKEN\", x-api-key or api-key"));
        assert_non_null(strstr(problem.message, "to shut down)")); /* whole */
        static const char *const spoilt[] = { "Bearer \"" WHOLE "\"", "Bearer Bearer " WHOLE, "Bearer hls_x\\n" };
        for (size_t i = 0; i < HL_COUNT(spoilt); i++) {
                free(r.authorization);
                r.authorization = hl_strdup(spoilt[i]);
                hl_guard_admit_peer(&guard, &r, &scopes, &problem);
                assert_non_null(strstr(problem.message, "the token is not as it was printed"));
        }
        free(r.authorization);
        r.authorization = hl_strdup("Bearer sk-1");
        hl_guard_admit_peer(&guard, &r, &scopes, &problem);
        assert_non_null(strstr(problem.message, "this token is not known"));
        free(r.authorization);
        r.authorization = NULL;

        r.peer.local = r.forwarded = true;
        assert_int_equal(hl_guard_admit_peer(&guard, &r, &scopes, &problem), -EINVAL);
        assert_non_null(
                strstr(problem.message, "requests from a proxy on this machine (X-Forwarded-For or the like) need"));
        assert_non_null(strstr(problem.message, "to shut down)"));
        guard.models = true;
        hl_guard_admit_peer(&guard, &r, &scopes, &problem);
        assert_int_equal(problem.status, 401);
        assert_non_null(strstr(problem.message, "--scope use\""));
        guard.trust_all = true;
        assert_int_equal(hl_guard_admit_peer(&guard, &r, &scopes, &problem), 0);
        assert_int_equal(scopes, HL_SCOPE_ALL);
        hl_request_free(&r);
}

/* What scopes_of_local() says in a test. */
struct trust {
        unsigned scopes;
        const char *why;
};

static unsigned scopes_of_local(void *data, const struct hl_peer *peer, const char **ret_why)
{
        const struct trust *trust = data;
        assert_true(peer->local);
        *ret_why = trust->why;
        return trust->scopes;
}

static void a_local_peer_may_what_its_user_may(void **state)
{
        (void)state;
        struct trust trust = { .scopes = HL_SCOPE_READ | HL_SCOPE_REPORT };
        struct hl_guard guard = {
                .trust_local = true, .scopes_of_local = scopes_of_local, .scopes_of = scope_of, .data = &trust
        };
        static const struct {
                const char *authorization;
                unsigned scopes;
        } cases[] = {
                { NULL, HL_SCOPE_READ | HL_SCOPE_REPORT },
                { "Bearer sk-1",
                  HL_SCOPE_READ | HL_SCOPE_REPORT }, /* clients send a key of theirs whether asked or not */
                { "Bearer use", HL_SCOPE_READ | HL_SCOPE_REPORT | HL_SCOPE_USE },
                { "Bearer control", CONTROL },
                { "Bearer power", HL_SCOPE_ALL },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_guard(&guard, &(struct guard_case){ HL_GET, .authorization = cases[i].authorization,
                                                           .local = true, .scopes = cases[i].scopes });
        trust = (struct trust){ .why = "nobody knows who it is" };
        expect_guard(&guard, &(struct guard_case){ HL_GET, .local = true, .status = 403, .code = "token_required" });
        expect_guard(&guard, &(struct guard_case){ HL_GET, .authorization = "Bearer power", .local = true,
                                                   .scopes = HL_SCOPE_ALL });
        expect_guard(&guard, &(struct guard_case){ HL_GET, .authorization = "Bearer sk-1", .local = true, .status = 401,
                                                   .code = "token_invalid" });
        trust.scopes = HL_SCOPE_ALL;
        expect_guard(&guard, &(struct guard_case){ HL_GET, .local = true, .scopes = HL_SCOPE_ALL });
        guard.trust_local = false; /* then nobody looks */
        expect_guard(&guard, &(struct guard_case){ HL_GET, .local = true, .status = 403, .code = "token_required" });
}

/* A model's page is one of the same origin, so that a page has no more than its token. */
static void where_models_have_pages_a_page_needs_a_token(void **state)
{
        (void)state;
        static const struct {
                enum hl_method method;
                const char *origin, *site, *authorization;
                int status; /* 0: admitted */
                unsigned scopes;
        } cases[] = {
                { HL_POST, "http://localhost:8080", NULL, NULL, 403, 0 },
                { HL_POST, "http://localhost:8080", "same-origin", NULL, 403, 0 },
                { HL_POST, NULL, "same-origin", NULL, 403, 0 },
                { HL_PUT, "http://localhost:8080", "none", NULL, 403, 0 },
                { HL_PATCH, "http://LOCALHOST:8080", NULL, NULL, 403, 0 },
                { HL_METHOD_OTHER, NULL, "same-origin", NULL, 403, 0 },
                { HL_POST, "http://localhost:8080", NULL, "Bearer sk-other", 401, 0 },
                { HL_POST, "http://localhost:8080", "same-origin", "Bearer control", 0, CONTROL },
                { HL_POST, "app://named", "cross-site", NULL, 0, HL_SCOPE_ALL },
                { HL_POST, NULL, NULL, NULL, 0, HL_SCOPE_ALL },
                { HL_POST, NULL, "none", NULL, 0, HL_SCOPE_ALL },
                { HL_GET, NULL, "same-origin", NULL, 0, HL_SCOPE_ALL },
                { HL_HEAD, "http://localhost:8080", NULL, NULL, 0, HL_SCOPE_ALL },
                { HL_OPTIONS, "http://localhost:8080", NULL, NULL, 0, HL_SCOPE_ALL },
        };
        static const char *const app[] = { "app://named", NULL };
        const struct hl_guard guard = { .trust_local = true, .origins = app, .scopes_of = scope_of };
        for (size_t i = 0; i < 2 * HL_COUNT(cases); i++) {
                bool shares = i % 2 == 0, refused = shares && cases[i / 2].status;
                struct hl_request r;
                struct hl_problem problem = { 0 };
                unsigned scopes = HL_SCOPE_NONE;
                hl_request_init(&r);
                r.method = cases[i / 2].method;
                r.host = hl_strdup("localhost:8080");
                r.origin = hl_strdup(cases[i / 2].origin);
                r.sec_fetch_site = hl_strdup(cases[i / 2].site);
                r.authorization = hl_strdup(cases[i / 2].authorization);
                r.peer.local = true;
                r.shares_origin = shares;
                assert_int_equal(hl_guard_admit_page(&guard, &r, &problem), 0);
                hl_guard_admit_peer(&guard, &r, &scopes, &problem);
                unsigned expected = shares ? cases[i / 2].scopes : HL_SCOPE_ALL;
                if (problem.status != (refused ? cases[i / 2].status : 0) || scopes != expected)
                        fail_msg("case %zu: %d, scopes %u", i / 2, problem.status, scopes);
                if (problem.status == 403) {
                        assert_string_equal(problem.code, "token_required");
                        assert_non_null(strstr(problem.message, "to shut down)")); /* whole */
                }
                hl_request_free(&r);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_local_peer_may_what_its_user_may),
                cmocka_unit_test(a_host_goes_by_its_names),
                cmocka_unit_test(pages_of_others_change_nothing),
                cmocka_unit_test(named_pages_may_do_what_others_may_not),
                cmocka_unit_test(pages_are_told_apart),
                cmocka_unit_test(a_preflight_of_another_page_is_refused),
                cmocka_unit_test(other_peers_need_a_token),
                cmocka_unit_test(a_token_comes_in_any_of_three_headers),
                cmocka_unit_test(who_has_no_token_is_told_how_to_send_one),
                cmocka_unit_test(where_models_have_pages_a_page_needs_a_token),
        };
        return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
