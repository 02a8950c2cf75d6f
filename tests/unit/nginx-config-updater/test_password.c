/* SPDX-License-Identifier: MIT */
/* nginx-config-updater/password: whether NGINX's files ask for one. */
#include "support.h"

#include "base/io.h"
#include "base/mem.h"
#include "nginx-config-updater/password.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/test_password-XXXXXX";

static char *put(const char *name, const char *text)
{
        char *path = hl_format("%s/%s", folder, name);
        assert_int_equal(hl_replace_file(path, text, strlen(text), 0644, (gid_t)-1), 0);
        return path;
}

static void a_site_that_asks_for_a_password(void **state)
{
        (void)state;
        static const struct {
                const char *site;
                bool asks;
        } cases[] = {
                { "", false },
                { "auth_basic off;", false },
                { "auth_basic \"llm\"; auth_basic_user_file x;", true },
                { "auth_basic off; location /x { auth_basic $realm; }", true },
                { "# auth_basic llm;\n auth_basic_user_file x; return 200 auth_basic;", false },
        };
        HL_CLEANUP(hl_free_pointer) char *conf = put("nginx.conf", "http { include site.conf; }");
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                HL_CLEANUP(hl_free_pointer) char *text = hl_format("server { %s }", cases[i].site);
                HL_CLEANUP(hl_free_pointer) char *site = put("site.conf", text);
                if (hl_nginx_asks_password(conf) != cases[i].asks)
                        fail_msg("%s", cases[i].site);
                unlink(site);
        }
        assert_false(hl_nginx_asks_password("/nowhere/nginx.conf"));
        unlink(conf);
}

static int make_folder(void **state)
{
        (void)state;
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(a_site_that_asks_for_a_password) };
        return cmocka_run_group_tests_name("password", tests, make_folder, remove_folder);
}
