/* SPDX-License-Identifier: MIT */
/* nginx-config-updater/conf: the text, and that no model's file can say anything in it. */
#include "support.h"

#include "base/mem.h"
#include "config/config.h"
#include "nginx-config-updater/conf.h"

#include <stdlib.h>
#include <string.h>

#define HEADING                                                                                                        \
        "# Made by nginx-config-updater of Home Lab Services from the models of this host, and made anew when they "   \
        "change:\n# what is written here by hand is lost.\n"
#define TRUSTED "set $hl_trusted 1;\n"
#define ADDRESS "set $hl_address hl_127.0.0.1;\nset $hl_source 127.110.103.120;\n"
#define GROUPS "set $hl_group \"/sys/fs/cgroup/system.slice/system-model.slice/model@\";\n"
#define LOCATION(name, port)                                                                                           \
        "location /" name "/ { set $hl_model " name "; set $hl_model_port " port "; "                                  \
        "include home-lab-services/named.conf; }\n"

static const struct hl_config usual = { .upstream_host = "127.0.0.1",
                                        .unit_template = "model@%s.service",
                                        .trust_loopback = true };

static char *conf_of(const struct hl_catalog *catalog, const char *host)
{
        struct hl_config config = usual;
        config.upstream_host = host;
        struct hl_buf text = { 0 };
        hl_nginx_conf(&config, catalog, false, &text);
        return text.data;
}

static void no_models_leave_the_heading(void **state)
{
        (void)state;
        const struct hl_catalog catalog = { 0 };
        char *text = conf_of(&catalog, "127.0.0.1");
        assert_string_equal(text, HEADING TRUSTED ADDRESS GROUPS);
        free(text);
}

static void a_model_is_a_line(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "qwen2.5:0.5b", .port = 8198 }, { .name = "Z", .port = 1 } };
        const struct hl_catalog catalog = { models, HL_COUNT(models) };
        char *text = conf_of(&catalog, "127.0.0.1");
        assert_string_equal(text, HEADING TRUSTED ADDRESS GROUPS LOCATION("qwen2.5:0.5b", "8198") LOCATION("Z", "1"));
        free(text);
}

static void a_dash_in_a_units_name_is_escaped_in_its_slice(void **state)
{
        (void)state;
        struct hl_config config = usual;
        config.unit_template = "my-own-model@%s.service";
        const struct hl_catalog catalog = { 0 };
        struct hl_buf text = { 0 };
        hl_nginx_conf(&config, &catalog, false, &text);
        assert_non_null(strstr(text.data, "set $hl_group \"/sys/fs/cgroup/system.slice/"
                                          "system-my\\\\x2down\\\\x2dmodel.slice/my-own-model@\";\n"));
        hl_buf_free(&text);
}

static void who_needs_a_key_is_said(void **state)
{
        (void)state;
        static const struct {
                bool models_need_token, trust_loopback, expected;
        } cases[] = { { false, false, true }, { false, true, true }, { true, true, true }, { true, false, false } };
        const struct hl_catalog catalog = { 0 };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_config config = usual;
                config.models_need_token = cases[i].models_need_token;
                config.trust_loopback = cases[i].trust_loopback;
                struct hl_buf text = { 0 };
                hl_nginx_conf(&config, &catalog, false, &text);
                assert_int_equal(strstr(text.data, TRUSTED) != NULL, cases[i].expected);
                hl_buf_free(&text);
        }
}

static void that_the_site_has_a_password_is_said(void **state)
{
        (void)state;
        const struct hl_catalog catalog = { 0 };
        struct hl_buf text = { 0 };
        hl_nginx_conf(&usual, &catalog, true, &text);
        assert_string_equal(text.data, HEADING TRUSTED "set $hl_site_password 1;\n" ADDRESS GROUPS);
        hl_buf_free(&text);
}

/* ---- upstreams ---- */

#define UPSTREAM(port)                                                                                                 \
        "upstream " port "_hl_127.0.0.1 { server 127.0.0.1:" port " max_fails=0; server 255.255.255.255:1 backup; "    \
        "keepalive 32; keepalive_timeout 50ms; }\n"

static void each_port_has_one_upstream(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "a", .port = 8200 },
                                     { .name = "b", .port = 81 },
                                     { .name = "c", .port = 8200 },
                                     { .name = "d" } };
        const struct hl_catalog catalog = { models, HL_COUNT(models) };
        struct hl_buf text = { 0 };
        hl_nginx_upstreams(&usual, &catalog, &text);
        assert_string_equal(text.data, HEADING UPSTREAM("81") UPSTREAM("8200"));
        hl_buf_free(&text);
}

static void an_ipv6_address_is_bracketed(void **state)
{
        (void)state;
        struct hl_model model = { .name = "m", .port = 65535 };
        const struct hl_catalog catalog = { &model, 1 };
        const struct hl_config config = { .upstream_host = "fd00::1" };
        struct hl_buf text = { 0 };
        hl_nginx_upstreams(&config, &catalog, &text);
        assert_non_null(strstr(text.data, "upstream 65535_hl_fd00__1 { server [fd00::1]:65535 "));
        hl_buf_free(&text);
        char *locations = conf_of(&catalog, "fd00::1");
        assert_non_null(strstr(locations, "set $hl_address hl_fd00__1;\n")); /* NGINX takes a colon for a port's */
        assert_null(strstr(locations, "hl_source")); /* a loopback address leads to loopback alone */
        free(locations);
}

static void old_upstreams_stay_beside_new_ones(void **state)
{
        (void)state;
        struct hl_buf before = { 0 }, now = { 0 };
        hl_buf_adds(&before, HEADING UPSTREAM("1") UPSTREAM("2") "evil directive;\n");
        hl_buf_adds(&now, HEADING UPSTREAM("2") UPSTREAM("3"));
        assert_false(hl_nginx_upstreams_cover(&before, &now));
        hl_nginx_upstreams_keep(&before, &now);
        assert_string_equal(now.data, HEADING UPSTREAM("2") UPSTREAM("3") UPSTREAM("1"));
        assert_true(hl_nginx_upstreams_cover(&now, &now));
        hl_buf_free(&before);
        assert_false(hl_nginx_upstreams_cover(&before, &now));
        hl_nginx_upstreams_keep(&before, &now);
        hl_buf_free(&now);
}

/* NGINX would refuse the file, and each run after that would keep what it refuses. */
static void an_old_upstream_of_a_new_ones_name_goes(void **state)
{
        (void)state;
        struct hl_buf before = { 0 }, now = { 0 };
        hl_buf_adds(&before, HEADING "upstream 2_hl_127.0.0.1 { server 127.0.0.1:22; }\n"
                                     "upstream hl_127.0.0.1_4 { server\n"
                                     "upstream hl_127.0.0.1_4 { server 127.0.0.1:4; }\n"
                                     "upstream hl_127.0.0.1_4 { server 127.0.0.1:44; }\n");
        hl_buf_adds(&now, HEADING UPSTREAM("2"));
        hl_nginx_upstreams_keep(&before, &now);
        assert_string_equal(now.data, HEADING UPSTREAM("2") "upstream hl_127.0.0.1_4 { server 127.0.0.1:4; }\n");
        hl_buf_free(&before);
        hl_buf_free(&now);
}

static void reserved_names_get_no_path(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "api", .port = 1 },
                                     { .name = "v1", .port = 2 },
                                     { .name = "v1.5", .port = 3 },
                                     { .name = "API", .port = 4 },
                                     { .name = "models", .port = 5 } };
        const struct hl_catalog catalog = { models, HL_COUNT(models) };
        char *text = conf_of(&catalog, "127.0.0.1");
        assert_string_equal(text, HEADING TRUSTED ADDRESS GROUPS LOCATION("v1.5", "3") LOCATION("API", "4"));
        free(text);
        assert_true(hl_nginx_name_reserved("api"));
        assert_true(hl_nginx_name_reserved("v1"));
        assert_false(hl_nginx_name_reserved("") || hl_nginx_name_reserved("ap") || hl_nginx_name_reserved("v11"));
}

static void models_without_a_port_get_nothing(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "none" }, { .name = "one", .port = 1 } };
        const struct hl_catalog catalog = { models, HL_COUNT(models) };
        char *text = conf_of(&catalog, "127.0.0.1");
        assert_null(strstr(text, "none"));
        assert_non_null(strstr(text, "location /one/ {"));
        free(text);
}

/* All that a model's file and its name can hold: of these, only ports and good names come through. */
static void hostile_files_say_nothing(void **state)
{
        static const char *const names[] = { "a;b", "a{b}", "a b", "a\nb", "a$b", "a\"b", "a'b", "a#b", "a\\b", "-a" };
        const char *folder = *state;
        struct hl_config config;
        struct hl_err err = { 0 };
        struct hl_catalog catalog = { 0 };
        for (size_t i = 0; i < HL_COUNT(names); i++)
                test_write(test_path(folder, "models"), names[i], "PORT=1\n");
        test_write(folder, "models/good",
                   "PORT=8198\nHEALTH_PATH=\"/x;} EVIL {\"\nCOMMAND='EVIL; } location / { return 200;'\n"
                   "EVIL=\"\n} EVIL\"\n");
        test_write(folder, "models/bad-port", "PORT=\"1; EVIL\"\n");
        test_write(folder, "models/large-port", "PORT=65536\n");
        assert_int_equal(hl_config_load(NULL, &config, &err), 0);
        assert_int_equal(hl_catalog_load(&config, NULL, NULL, &catalog, &err), 0);
        char *text = conf_of(&catalog, config.upstream_host), *expected;
        struct hl_model good = { .name = "good", .port = 8198 };
        expected = conf_of(&(struct hl_catalog){ &good, 1 }, "127.0.0.1");
        assert_string_equal(text, expected);
        free(text);
        free(expected);
        hl_catalog_free(&catalog);
        hl_config_free(&config);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_models_leave_the_heading),
                cmocka_unit_test(a_model_is_a_line),
                cmocka_unit_test(a_dash_in_a_units_name_is_escaped_in_its_slice),
                cmocka_unit_test(who_needs_a_key_is_said),
                cmocka_unit_test(that_the_site_has_a_password_is_said),
                cmocka_unit_test(each_port_has_one_upstream),
                cmocka_unit_test(old_upstreams_stay_beside_new_ones),
                cmocka_unit_test(an_old_upstream_of_a_new_ones_name_goes),
                cmocka_unit_test(an_ipv6_address_is_bracketed),
                cmocka_unit_test(reserved_names_get_no_path),
                cmocka_unit_test(models_without_a_port_get_nothing),
                cmocka_unit_test_setup_teardown(hostile_files_say_nothing, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests_name("nginx_conf", tests, NULL, NULL);
}
