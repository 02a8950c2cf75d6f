/* SPDX-License-Identifier: MIT */
/* nginx-config-updater/cluster/fleet and nginx-config-updater/cluster/locations: what hosts said last is taken up again
 * only where it is sound; NGINX's text from it. */
#include "support.h"

#include "base/mem.h"
#include "nginx-config-updater/cluster/fleet.h"
#include "nginx-config-updater/cluster/locations.h"

#include <errno.h>
#include <string.h>

static struct hl_fleet parse(const char *urls)
{
        struct hl_fleet fleet = { 0 };
        struct hl_err err = { 0 };
        assert_int_equal(hl_fleet_parse(urls, &fleet, &err), 0);
        return fleet;
}

/* Takes document, which is JSON text, up for the first host. */
static int recall(struct hl_fleet *fleet, size_t host, const char *document, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        struct hl_err parse_err = { 0 };
        must(hl_json_parse(document, strlen(document), &json, &parse_err) == 0);
        *err = (struct hl_err){ 0 };
        return hl_fleet_recall(&fleet->hosts[host], json, err);
}

static void urls_are_read(void **state)
{
        (void)state;
        HL_CLEANUP(hl_fleet_free)
        struct hl_fleet fleet =
                parse("http://192.168.1.10:5002/, http://gpu-box.lan:65535\n,http://[fd00::1]:5002,http://b");
        static const struct {
                const char *url;
                uint16_t port;
        } expected[] = { { "http://192.168.1.10:5002", 5002 },
                         { "http://gpu-box.lan:65535", 65535 },
                         { "http://[fd00::1]:5002", 5002 },
                         { "http://b", 80 } };
        assert_int_equal(fleet.count, HL_COUNT(expected));
        for (size_t i = 0; i < fleet.count; i++) {
                assert_string_equal(fleet.hosts[i].url, expected[i].url);
                assert_int_equal(fleet.hosts[i].port, expected[i].port);
        }
}

static void what_is_no_url_is_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = {
                "",           " , ",           "gpu",          "https://a",      "http://",
                "http://:80", "http://a:",     "http://a:0",   "http://a:65536", "http://a:5x",
                "http://a/b", "http://a?b",    "http://u@a",   "http://a;b",     "http://[::1",
                "http://[]",  "http://[::1]x", "http://[a;b]", "http://a\"b",    "http://a,http://a/"
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_fleet fleet = { 0 };
                struct hl_err err = { 0 };
                assert_int_equal(hl_fleet_parse(wrong[i], &fleet, &err), -EINVAL);
                assert_int_equal(err.kind, HL_ERR_INVALID);
                assert_null(fleet.hosts);
        }
}

static void what_was_said_is_remembered(void **state)
{
        (void)state;
        static const char said[] = "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"10.0.0.1\",\"models\":"
                                   "[{\"name\":\"y\",\"port\":2},{\"name\":\"x\",\"port\":1}]},"
                                   "{\"url\":\"http://b\",\"address\":\"fd00::1\",\"models\":[]}]}";
        HL_CLEANUP(hl_fleet_free) struct hl_fleet fleet = parse("http://a,http://b,http://new");
        struct hl_err err = { 0 };
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(recall(&fleet, i, said, &err), 0);
        assert_string_equal(fleet.hosts[0].address, "10.0.0.1");
        assert_int_equal(fleet.hosts[0].count, 2);
        assert_string_equal(fleet.hosts[0].models[0].name, "x");
        assert_string_equal(fleet.hosts[1].address, "fd00::1");
        assert_int_equal(fleet.hosts[2].count, 0);

        /* What is written of it is what it was read from, in order. */
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        HL_CLEANUP(hl_json_cleanup) hl_json *document = hl_fleet_document(&fleet);
        hl_json_print(document, &text);
        assert_string_equal(text.data, "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"10.0.0.1\",\"models\":"
                                       "[{\"name\":\"x\",\"port\":1},{\"name\":\"y\",\"port\":2}]},"
                                       "{\"url\":\"http://b\",\"address\":\"fd00::1\",\"models\":[]},"
                                       "{\"url\":\"http://new\",\"address\":\"\",\"models\":[]}]}\n");
}

static void a_damaged_memory_is_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = {
                "{}",
                "{\"hosts\":{}}",
                "{\"hosts\":[1]}",
                "{\"hosts\":[{\"url\":\"http://a\",\"models\":[]}]}",
                "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"a;\",\"models\":[]}]}",
                "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"1.2.3.4.5\",\"models\":[]}]}",
                "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"1.2.3.4\"}]}",
                "{\"hosts\":[{\"url\":\"http://a\",\"address\":\"1.2.3.4\",\"models\":[{\"name\":\"a "
                "b\",\"port\":1}]}]}",
                "{\"hosts\":[{\"url\":\"http://"
                "a\",\"address\":\"1.2.3.4\",\"models\":[{\"name\":\"a\",\"port\":-1}]}]}",
        };
        HL_CLEANUP(hl_fleet_free) struct hl_fleet fleet = parse("http://a");
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_err err;
                assert_int_equal(recall(&fleet, 0, wrong[i], &err), -EINVAL);
                assert_int_equal(err.kind, HL_ERR_INTERNAL);
                assert_string_equal(fleet.hosts[0].address, "");
                assert_int_equal(fleet.hosts[0].count, 0);
        }
}

static size_t times(const struct hl_buf *text, const char *what)
{
        size_t found = 0;
        for (const char *at = text->data; (at = strstr(at, what)); at++)
                found++;
        return found;
}

/* All of these are names of models, and of no two NGINX may think that they are the same. */
static void every_name_has_upstreams_of_its_own(void **state)
{
        (void)state;
        static const char *const names[] = {
                "r1", "R1", "a:b", "a_B", "a_b", "aB", "a__b", "a_1b", "a_0b", "a0b", "a1b"
        };
        HL_CLEANUP(hl_fleet_free) struct hl_fleet fleet = parse("http://a:5002");
        struct hl_fleet_host *host = &fleet.hosts[0];
        host->models = hl_alloc(HL_COUNT(names) * sizeof(*host->models));
        host->count = HL_COUNT(names);
        strcpy(host->address, "10.0.0.1");
        for (size_t i = 0; i < HL_COUNT(names); i++) {
                strcpy(host->models[i].name, names[i]);
                host->models[i].port = (uint16_t)(8000 + i);
        }
        HL_CLEANUP(hl_buf_free) struct hl_buf upstreams = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf locations = { 0 };
        hl_nginx_fleet(&fleet, &upstreams, &locations);
        assert_int_equal(times(&upstreams, "upstream hl_model_"), HL_COUNT(names));
        for (char *at = upstreams.data, *end; (at = strstr(at, "upstream ")); at = end) {
                end = strchr(at, '{') + 1;
                HL_CLEANUP(hl_free_pointer) char *one = hl_strndup(at, (size_t)(end - at));
                assert_int_equal(times(&upstreams, one), 1);
                for (const char *c = one; *c; c++) {
                        assert_false(*c >= 'A' && *c <= 'Z');
                        assert_int_not_equal(*c, ':');
                }
        }
}

static void one_model_on_two_hosts_is_one_upstream(void **state)
{
        (void)state;
        static const char said[] = "{\"hosts\":[{\"url\":\"http://a:5002\",\"address\":\"10.0.0.1\",\"models\":"
                                   "[{\"name\":\"m\",\"port\":8198}]},"
                                   "{\"url\":\"http://b:5012\",\"address\":\"fd00::1\",\"models\":"
                                   "[{\"name\":\"m\",\"port\":8300},{\"name\":\"M:q4\",\"port\":8301},"
                                   "{\"name\":\"v1\",\"port\":8302}]}]}";
        HL_CLEANUP(hl_fleet_free) struct hl_fleet fleet = parse("http://a:5002,http://b:5012,http://idle");
        struct hl_err err;
        for (size_t i = 0; i < fleet.count; i++)
                must(recall(&fleet, i, said, &err) == 0);
        HL_CLEANUP(hl_buf_free) struct hl_buf upstreams = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf locations = { 0 };
        hl_nginx_fleet(&fleet, &upstreams, &locations);

        /* NGINX does not tell hl_model_m from hl_model_M, and takes ":q4" for a port. */
        assert_string_equal(upstreams.data, "upstream hl_model__m_1q4 {\n    server [fd00::1]:8301 max_fails=0;\n}\n"
                                            "upstream hl_start__m_1q4 {\n    server [fd00::1]:5012 max_fails=0;\n}\n"
                                            "upstream hl_model_m {\n    server 10.0.0.1:8198 max_fails=0;\n"
                                            "    server [fd00::1]:8300 max_fails=0;\n}\n"
                                            "upstream hl_start_m {\n    server 10.0.0.1:5002 max_fails=0;\n"
                                            "    server [fd00::1]:5012 max_fails=0;\n}\n");
        assert_int_equal(times(&locations, "location /m/ {"), 1);
        assert_int_equal(times(&locations, "location /M:q4/ {"), 1);
        assert_int_equal(times(&locations, "location /v1/ {"), 0); /* the prefix is the OpenAI API's */
        assert_int_equal(times(&locations, "proxy_pass http://hl_start_m/models/m/start?wait=ready;"), 1);
        assert_int_equal(times(&locations, "proxy_pass http://[fd00::1]:5003/models/$hl_reported/report;"), 1);
        assert_int_equal(times(&locations, "mirror /_home-lab-services/report/0/m;"), 1);
        assert_int_equal(times(&locations, "mirror /_home-lab-services/report/1/m;"), 1);
        assert_int_equal(times(&locations, "/report/2/"), 0);
        assert_int_equal(times(&locations, "{"), times(&locations, "}"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(urls_are_read),
                cmocka_unit_test(what_is_no_url_is_refused),
                cmocka_unit_test(what_was_said_is_remembered),
                cmocka_unit_test(a_damaged_memory_is_refused),
                cmocka_unit_test(every_name_has_upstreams_of_its_own),
                cmocka_unit_test(one_model_on_two_hosts_is_one_upstream),
        };
        return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
