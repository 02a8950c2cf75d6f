/* SPDX-License-Identifier: MIT */
/* service/local: what the users of this machine may without a token. */
#include "support.h"

#include "base/mem.h"
#include "base/scope.h"
#include "service/local.h"

#include <string.h>
#include <unistd.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "home-lab-models:x:992:992::/var/lib/home-lab-models:/usr/sbin/nologin\n"
                             "no such line\n"
                             "home-lab-services:x:991:991::/:/usr/sbin/nologin\n"
                             "home-lab-power:x:990:990::/:/usr/sbin/nologin\n"
                             "home-lab-nginx:x:989:989::/:/usr/sbin/nologin\n"
                             "home-lab-models-of-mine:x:1001:1001::/home/m:/bin/sh\n"
                             "alice:x:1000:1000::/home/alice:/bin/bash\n";

static void each_user_may_what_it_needs(void **state)
{
        test_write(*state, "passwd", passwd);
        static const struct {
                uint32_t uid;
                const char *user;
                unsigned scopes;
        } cases[] = {
                { 992, "home-lab-models", HL_SCOPE_READ | HL_SCOPE_USE | HL_SCOPE_REPORT },
                { 991, "home-lab-services", HL_SCOPE_READ },
                { 990, "home-lab-power", HL_SCOPE_READ },
                { 989, "home-lab-nginx", HL_SCOPE_READ },
                { 0, "", HL_SCOPE_ALL },
                { 1000, "", HL_SCOPE_ALL },
                { 1001, "", HL_SCOPE_ALL },
                { 100000, "", HL_SCOPE_ALL }, /* of a container's, who is in no file */
        };
        const char *file = test_path(*state, "passwd");
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_local local = hl_local_of_user(cases[i].uid, file);
                assert_int_equal(local.scopes, cases[i].scopes);
                assert_string_equal(local.user, cases[i].user);
                assert_null(local.why);
        }
}

/* Where all users are nobody, as with PrivateUsers=, the unit says who it is. */
static void each_unit_may_what_its_user_may(void **state)
{
        test_write(*state, "passwd", passwd);
        static const struct {
                const char *path, *user;
        } cases[] = {
                { "/system.slice/system-model.slice/model@a.service", "home-lab-models" },
                { "/gpu.slice/model@a.service/delegated", "home-lab-models" },
                { "/user.slice/user-992.slice/user@992.service/app.slice/escaped.service", "home-lab-models" },
                { "/user.slice/user-991.slice/session-4.scope", "home-lab-services" },
                { "/homelab.slice/shutdown-service@1-2-0.service", "home-lab-power" },
                { "/homelab.slice/inference-service.service", "home-lab-services" },
                { "/homelab.slice/model-router.service", "home-lab-services" },
                { "/system.slice/nginx-config-updater.service", "home-lab-nginx" },
                { "/user.slice/user-1000.slice/session-4.scope", "" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/model@mine.service", "" },
                { "/homelab.slice/model-monitor-service@3-4-0.service", "home-lab-services" },
                { "/homelab.slice/model-activity.service", "home-lab-services" },
                { "/system.slice/model-idle-sweep.service", "home-lab-services" },
                { "/system.slice/model-idle-sweep-before-sleep.service", "home-lab-power" },
                { "/system.slice/model-idle-sweep-host.service", "home-lab-power" },
                { "/system.slice/model-warmup.service", "" }, /* somebody's own */
                { "/system.slice/cron.service", "" },
                { "/system.slice/docker-0123.scope", "" },
                { "/init.scope", "" },
                { "/", "" },
        };
        const char *file = test_path(*state, "passwd");
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_local local = hl_local_of_group(cases[i].path, file);
                assert_string_equal(local.user, cases[i].user);
                assert_int_equal(local.scopes == HL_SCOPE_ALL, !*cases[i].user);
        }
}

static void who_cannot_be_told_may_nothing(void **state)
{
        struct hl_local local = hl_local_of_user(0, test_path(*state, "nothing-here"));
        assert_int_equal(local.scopes, HL_SCOPE_NONE);
        assert_non_null(local.why);

        struct hl_peer peer = { .local = true, .name = "127.0.0.1" };
        peer.client = hl_endpoint_parse("127.0.0.1", "1");
        peer.server = hl_endpoint_parse("127.0.0.1", "2");
        local = hl_local_find(&peer);
        assert_int_equal(local.scopes, HL_SCOPE_NONE);
        assert_non_null(local.why);
}

static void a_web_server_that_says_no_port_vouches(void **state)
{
        (void)state;
        struct hl_peer peer = { .local = true, .name = "127.0.0.1" }; /* CGI/1.1 has no more than that */
        assert_int_equal(hl_local_find(&peer).scopes, HL_SCOPE_ALL);
        peer.client = hl_endpoint_parse("127.0.0.1", "40312");
        assert_int_equal(hl_local_find(&peer).scopes, HL_SCOPE_ALL);
}

static void a_unix_socket_says_who_it_is(void **state)
{
        (void)state;
        struct hl_peer peer = { .local = true, .name = "unix", .is_unix = true, .has_uid = true, .uid = 0 };
        assert_int_equal(hl_local_find(&peer).scopes, HL_SCOPE_ALL);
        peer = (struct hl_peer){ .local = true, .name = "unix:", .is_unix = true }; /* of a web server's */
        assert_int_equal(hl_local_find(&peer).scopes, HL_SCOPE_ALL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_user_may_what_it_needs, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(who_cannot_be_told_may_nothing, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(each_unit_may_what_its_user_may, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test(a_web_server_that_says_no_port_vouches),
                cmocka_unit_test(a_unix_socket_says_who_it_is),
        };
        return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
