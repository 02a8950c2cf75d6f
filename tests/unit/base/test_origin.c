/* SPDX-License-Identifier: MIT */
/* base/origin: what users may name, and what browsers send. */
#include "support.h"

#include "base/mem.h"
#include "base/origin.h"

#include <string.h>

static void origins_as_browsers_send_them_are_taken(void **state)
{
        (void)state;
        static const char *const good[] = {
                "http://localhost",
                "http://localhost:3000",
                "http://127.0.0.1:8080",
                "https://chat.example.org",
                "https://chat.example.org:8443",
                "https://xn--bcher-kva.example",
                "http://my_box:81",
                "http://box.:81",
                "http://192.168.1.20",
                "http://[::1]:3000",
                "https://[2001:db8::1]",
                "http://[::ffff:102:304]",
                "http://a-b.c:443",
                "https://a:80",
                "app://obsidian.md",
                "app://localhost:5173",
                "app://-",
                "capacitor://localhost",
                "ionic://localhost",
                "tauri://localhost",
                "http://tauri.localhost",
                "vscode-webview://*",
                "vscode-webview://0a1b2c3d-4e5f",
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
                "moz-extension://d0e1f2a3-b4c5-6789-abcd-ef0123456789",
                "moz-extension://*",
                "app://.",
                "vscode-file://vscode-app",
                "safari-web-extension://0a1b-2c",
                "null",
                "file://",
                "file://*",
        };
        for (size_t i = 0; i < HL_COUNT(good); i++)
                if (hl_origin_problem(good[i]))
                        fail_msg("\"%s\" %s", good[i], hl_origin_problem(good[i]));
}

static void what_no_browser_sends_is_refused_by_its_fault(void **state)
{
        (void)state;
        static const struct {
                const char *named, *problem;
        } wrong[] = {
                { "*", "would let every page in" },
                { "", "must begin with a scheme" },
                { "localhost:3000", "must begin with a scheme" },
                { "chat.example.org", "must begin with a scheme" },
                { "//chat.example.org", "must begin with a scheme" },
                { "http:/localhost", "must begin with a scheme" },
                { "http:localhost", "must begin with a scheme" },
                { "1http://a", "must begin with a scheme" },
                { "ht tp://a", "has a character that no browser sends" },
                { "https://b\xC3\xBC"
                  "cher.example",
                  "has a character that no browser sends" },
                { "https://a.example ", "has a character that no browser sends" },
                { "HTTP://a.example", "must be in lower case" },
                { "http://A.example", "must be in lower case" },
                { "app://Obsidian.md", "must be in lower case" },
                { "NULL", "must be in lower case" },
                { "http://a.example/", "no slash and no path" },
                { "https://a.example:8443/", "no slash and no path" },
                { "http://a.example/v1", "no slash and no path" },
                { "http://a.example?x", "no slash and no path" },
                { "http://a.example#x", "no slash and no path" },
                { "http://a.example\\x", "no slash and no path" },
                { "app://obsidian.md/", "no slash and no path" },
                { "vscode-webview://*/", "no slash and no path" },
                { "http:///x", "no slash and no path" },
                { "http://a.example:80", "must be without its port" },
                { "https://a.example:443", "must be without its port" },
                { "http://[::1]:80", "must be without its port" },
                { "http://a.example:", "has no valid port" },
                { "http://a.example:0", "has no valid port" },
                { "http://a.example:08080", "has no valid port" },
                { "http://a.example:65536", "has no valid port" },
                { "http://a.example:3000x", "has no valid port" },
                { "http://a.example:1:2", "has no valid port" },
                { "http://[::1]3000", "has no valid port" },
                { "http://", "has no host" },
                { "app://", "has no valid host" },
                { "http://:3000", "has no host" },
                { "http://[::1", "has no host" },
                { "http://*", "must name one host" },
                { "https://*.example.org", "must name one host" },
                { "http://localhost:*", "must name one host" },
                { "app://*.md", "may have a * only for its whole host" },
                { "app://*:1", "may have a * only for its whole host" },
                { "*://localhost", "must begin with a scheme" },
                { "http://user@a.example", "must be without a user's name" },
                { "http://u:p@a.example", "must be without a user's name" },
                { "http://127.1", "must have an IPv4 address as four numbers" },
                { "http://2130706433", "must have an IPv4 address as four numbers" },
                { "http://1.2.3.256", "must have an IPv4 address as four numbers" },
                { "http://[::0001]", "must have its IPv6 address in the shortest form" },
                { "http://[0:0:0:0:0:0:0:1]", "must have its IPv6 address in the shortest form" },
                { "http://[fe80::1%25eth0]", "has no valid IPv6 address" },
                { "http://[]", "has no valid IPv6 address" },
                { "http://[1.2.3.4]", "has no valid IPv6 address" },
                { "http://.example", "has no valid host" },
                { "http://a..b", "has no valid host" },
                { "http://a|b", "has no valid host" },
                { "file:///home/me/page.html", "must be \"file://\", or \"null\"" },
                { "file:///", "must be \"file://\", or \"null\"" },
                { "http://a,http://b", "must be one origin" },
                { "app://[a]", "has no valid host" },
                { "app://a|b", "has no valid port" },
                { "ws://localhost:3000", "is a socket's address" },
                { "wss://a.example", "is a socket's address" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                const char *problem = hl_origin_problem(wrong[i].named);
                if (!problem || !strstr(problem, wrong[i].problem))
                        fail_msg("\"%s\": %s", wrong[i].named, problem ? problem : "no problem");
        }
}

static void an_origin_is_the_one_that_is_named(void **state)
{
        (void)state;
        static const struct {
                const char *named, *sent;
                bool same;
        } cases[] = {
                { "http://a.example", "http://a.example", true },
                { "http://a.example", "http://A.example", true },
                { "http://a.example", "https://a.example", false },
                { "http://a.example", "http://a.example:80", false },
                { "http://a.example", "http://a.example:8080", false },
                { "http://a.example", "http://a.example.evil", false },
                { "http://a.example", "http://a.exampl", false },
                { "http://a.example", "http://b.a.example", false },
                { "http://a.example", "null", false },
                { "http://a.example", "", false },
                { "null", "null", true },
                { "null", "", false },
                { "app://obsidian.md", "app://obsidian.md", true },
                { "app://obsidian.md", "app://obsidian.md/", false },
                { "vscode-webview://*", "vscode-webview://1b2c", true },
                { "vscode-webview://*", "vscode-webview://1b2c:1", true },
                { "file://*", "file://", true },
                { "file://", "file://", true },
                { "file://", "file:///a", false },
                { "file://*", "null", false },
                { "vscode-webview://*", "vscode-webview:", false },
                { "vscode-webview://*", "vscode-webview://a/b", false },
                { "vscode-webview://*", "https://a", false },
                { "vscode-webview://*", "xvscode-webview://a", false },
                { "safari-web-extension://0a1b-2c", "safari-web-extension://0A1B-2C", true },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                if (hl_origin_is(cases[i].named, cases[i].sent) != cases[i].same)
                        fail_msg("\"%s\" and \"%s\"", cases[i].named, cases[i].sent);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(origins_as_browsers_send_them_are_taken),
                cmocka_unit_test(what_no_browser_sends_is_refused_by_its_fault),
                cmocka_unit_test(an_origin_is_the_one_that_is_named),
        };
        return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
