/* SPDX-License-Identifier: MIT */
/* What NGINX's configuration says, and which ports are NGINX's own. */
#include "base/io.h"
#include "base/mem.h"
#include "nginx/files.h"
#include "nginx/ports.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_nginx_files-XXXXXX";

static char *path_of(const char *name)
{
        return hl_format("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(name);
        assert_int_equal(hl_replace_file(path, text, strlen(text), 0644, (gid_t)-1), 0);
}

static void add_line(void *data, const struct hl_nginx_directive *d)
{
        struct hl_buf *out = data;
        for (size_t i = 0; i < d->count; i++)
                hl_buf_addf(out, "<%s>", d->words[i]);
        hl_buf_adds(out, d->count == 0 ? "}" : d->block ? "{" : ";");
}

static void assert_reads(const char *text, const char *wanted)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf out = { 0 };
        HL_CLEANUP(hl_free_pointer) char *path = path_of("nginx.conf");
        put("nginx.conf", text);
        assert_int_equal(hl_nginx_files_walk(path, add_line, &out), 0);
        assert_string_equal(out.data ? out.data : "", wanted);
}

static void words_blocks_and_comments(void **state)
{
        (void)state;
        assert_reads("", "");
        assert_reads("user www-data;\n# user x;\nhttp { a 'b c' \"d;e\" f\\;g; }",
                     "<user><www-data>;<http>{<a><b c><d;e><f;g>;}");
        assert_reads("log_format x '{' '\\'a' \"#\";", "<log_format><x><{><'a><#>;");
        assert_reads("map $a $b{ ~^x{2}$ ${c}d; }", "<map><$a><$b>{<~^x>{<2}$><${c}d>;}");
        assert_reads("a#b c;#d\n\te\n;", "<a#b><c>;<e>;");
        assert_reads("never 'ends", "");
        assert_reads("server{listen 80;location /{}}", "<server>{<listen><80>;<location></>{}}");
}

static void includes_are_followed(void **state)
{
        (void)state;
        put("b.conf", "listen 2; include self.conf;");
        put("c.conf", "listen 3;");
        put("self.conf", "include self.conf; x;");
        HL_CLEANUP(hl_buf_free) struct hl_buf out = { 0 };
        HL_CLEANUP(hl_free_pointer) char *path = path_of("nginx.conf");
        put("nginx.conf", "http { include [bc].conf; include absent/*; } last;");
        assert_int_equal(hl_nginx_files_walk(path, add_line, &out), 0);
        assert_non_null(strstr(out.data, "<include><[bc].conf>;<listen><2>;<include><self.conf>;"));
        assert_non_null(strstr(out.data, "<listen><3>;<include><absent/*>;}<last>;"));
        HL_CLEANUP(hl_free_pointer) char *absent = path_of("absent");
        assert_true(hl_nginx_files_walk(absent, add_line, &out) < 0);
}

static void ports_of_every_form_of_listen(void **state)
{
        (void)state;
        static const struct {
                const char *listen;
                uint16_t is, is_not;
        } cases[] = {
                { "listen 8080;", 8080, 80 },
                { "listen 127.0.0.1:8080 default_server;", 8080, 80 },
                { "listen *:8080;", 8080, 80 },
                { "listen [::]:8080 ipv6only=off;", 8080, 80 },
                { "listen [::1];", 80, 1 },
                { "listen 10.0.0.1;", 80, 10 },
                { "listen gpu-box.lan:9090 ssl http2;", 9090, 80 },
                { "listen 127.0.0.1:9000-9005;", 9003, 9006 },
                { "listen unix:/run/x.sock;", 0, 80 },
                { "listen unix:/run/x:8080;", 0, 8080 },
                { "listen 443 quic reuseport;", 0, 443 },
                { "listen 53 udp;", 0, 53 },
                { "", 80, 8080 },
                { "location / { return 200; }", 80, 8080 },
                { "set $a \"${b}\"; listen 81;", 81, 80 },
                { "# listen 82;\n listen 83;", 83, 82 },
        };
        HL_CLEANUP(hl_free_pointer) char *path = path_of("nginx.conf");
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
                HL_CLEANUP(hl_free_pointer)
                char *text = hl_format("http { upstream u { server 127.0.0.1:7777; } server { %s } }", cases[i].listen);
                put("nginx.conf", text);
                hl_nginx_ports_read_from(path, &ports);
                if (cases[i].is && !hl_nginx_ports_find(&ports, cases[i].is))
                        fail_msg("%s: %u is NGINX's", cases[i].listen, cases[i].is);
                if (hl_nginx_ports_find(&ports, cases[i].is_not) || hl_nginx_ports_find(&ports, 7777))
                        fail_msg("%s: %u is not NGINX's", cases[i].listen, cases[i].is_not);
        }
}

static void where_a_port_is_said(void **state)
{
        (void)state;
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
        HL_CLEANUP(hl_free_pointer) char *path = path_of("nginx.conf");
        HL_CLEANUP(hl_free_pointer) char *site = path_of("site");
        put("site", "server {\n    listen 127.0.0.1:8080;\n}\n");
        put("nginx.conf", "stream { server { listen 5432; } }\nhttp { include site; }\n");
        hl_nginx_ports_read_from(path, &ports);
        const struct hl_nginx_listen *listen = hl_nginx_ports_find(&ports, 8080);
        assert_non_null(listen);
        assert_string_equal(listen->address, "127.0.0.1:8080");
        assert_string_equal(listen->file, site);
        assert_int_equal(listen->line, 2);
        assert_non_null(hl_nginx_ports_find(&ports, 5432));
        assert_null(hl_nginx_ports_find(&ports, 80));
        assert_false(hl_nginx_listen_open("127.0.0.1:8080") || hl_nginx_listen_open("[::1]:8080") ||
                     hl_nginx_listen_open("localhost:8080"));
        assert_true(hl_nginx_listen_open("8080"));
        assert_true(hl_nginx_listen_open("[::]:8080"));
        assert_true(hl_nginx_listen_open("*:8080"));
        assert_true(hl_nginx_listen_open("172.17.0.1:8080"));
}

static int make_folder(void **state)
{
        (void)state;
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        static const char *const names[] = { "nginx.conf", "b.conf", "c.conf", "self.conf", "site" };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(names); i++) {
                HL_CLEANUP(hl_free_pointer) char *path = path_of(names[i]);
                unlink(path);
        }
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_blocks_and_comments),
                cmocka_unit_test(includes_are_followed),
                cmocka_unit_test(ports_of_every_form_of_listen),
                cmocka_unit_test(where_a_port_is_said),
        };
        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
