/* SPDX-License-Identifier: MIT */
#include "origin.h"

#include "mem.h"
#include "str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define EXAMPLE "\"https://chat.example.org\""

/* What files and sandboxed frames send; Electron and Android's WebView may send "file://". */
static bool is_without_host(const char *text)
{
        return strcmp(text, "null") == 0 || strcmp(text, "file://") == 0 || strcmp(text, "file://*") == 0;
}

/* What people write for a page's origin that never is one. */
static const char *problem_of_whole(const char *text)
{
        static const struct {
                const char *prefix, *problem;
        } never[] = {
                { "file:", "must be \"file://\", or \"null\": pages that are files send one of the two" },
                { "ws:", "is a socket's address: name the page's origin, with http or https" },
                { "wss:", "is a socket's address: name the page's origin, with http or https" },
        };
        if (strcmp(text, "*") == 0)
                return "would let every page in: name the origins of those that may, such as " EXAMPLE;
        if (strchr(text, ','))
                return "must be one origin: each stands for itself in the list, in quotes of its own";
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7F)
                        return "has a character that no browser sends: write a name as its \"xn--\" form, without "
                               "spaces";
        for (const char *c = text; *c; c++)
                if (isupper((unsigned char)*c))
                        return "must be in lower case, as browsers send it";
        for (size_t i = 0; i < HL_COUNT(never); i++)
                if (hl_has_prefix(text, never[i].prefix))
                        return never[i].problem;
        return NULL;
}

static bool is_scheme(const char *text, size_t len)
{
        return len > 0 && isalpha((unsigned char)text[0]) && strspn(text, LETTERS_AND_DIGITS "+-.") >= len;
}

/* "[2001:db8::1]" as browsers write it. An IPv4 address in it is written in another way by inet_ntop(3). */
static const char *problem_of_ipv6(const char *host, size_t len)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup(host + 1, len - 2);
        char usual[INET6_ADDRSTRLEN];
        struct in6_addr address;
        if (inet_pton(AF_INET6, text, &address) != 1)
                return "has no valid IPv6 address between its brackets";
        if (!IN6_IS_ADDR_V4MAPPED(&address) && !IN6_IS_ADDR_V4COMPAT(&address) &&
            strcmp(inet_ntop(AF_INET6, &address, usual, sizeof(usual)), text) != 0)
                return "must have its IPv6 address in the shortest form, as browsers send it";
        return NULL;
}

/* The host of http and https. Browsers take a name that ends with a number for an IPv4 address, and send that in
 * full. */
static const char *problem_of_host(const char *host, size_t len)
{
        if (host[0] == '[')
                return problem_of_ipv6(host, len);
        HL_CLEANUP(hl_free_pointer) char *name = hl_strndup(host, len);
        const char *last = strrchr(name, '.');
        struct in_addr address;
        last = last ? last + 1 : name;
        if (isdigit((unsigned char)*last) && !last[strspn(last, "0123456789")] &&
            inet_pton(AF_INET, name, &address) != 1)
                return "must have an IPv4 address as four numbers, as browsers send it";
        if (name[0] == '.' || strstr(name, "..") || name[strspn(name, LETTERS_AND_DIGITS "._-")])
                return "has no valid host: write a name or an address, such as " EXAMPLE;
        return NULL;
}

/* Behind the host: nothing, or ":" and a port that browsers do not leave out. usual: the scheme's port; 0: none. */
static const char *problem_of_port(const char *rest, uint64_t usual)
{
        uint64_t port;
        if (!*rest)
                return NULL;
        if (*rest != ':' || hl_parse_uint(rest + 1, 65535, &port) < 0 || rest[1] == '0')
                return "has no valid port: write \":\" and a number from 1 to 65535 behind the host, or nothing";
        if (port == usual)
                return "must be without its port: browsers leave 80 out for http, and 443 for https";
        return NULL;
}

/* Of a program's own scheme: what its author thought of, "." and "-" too, or * for all. */
static const char *problem_of_own(const char *host)
{
        if (strchr(host, '*'))
                return strcmp(host, "*") == 0 ? NULL : "may have a * only for its whole host, without a port";
        size_t len = strspn(host, LETTERS_AND_DIGITS "._~-");
        if (len == 0)
                return "has no valid host: write \"scheme://host\", or a * for the host";
        return problem_of_port(host + len, 0);
}

static const char *problem_of_web(const char *host, uint64_t usual_port)
{
        if (strchr(host, '*'))
                return "must name one host: a * may stand for the host of programs' own schemes alone";
        size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
        if (len == 0 || (host[0] == '[' && !strchr(host, ']')))
                return "has no host: write \"scheme://host\", such as " EXAMPLE;
        const char *problem = problem_of_host(host, len);
        return problem ? problem : problem_of_port(host + len, usual_port);
}

const char *hl_origin_problem(const char *named)
{
        if (is_without_host(named))
                return NULL;
        const char *problem = problem_of_whole(named);
        if (problem)
                return problem;
        const char *end = strstr(named, "://");
        if (!end || !is_scheme(named, (size_t)(end - named)))
                return "must begin with a scheme, such as " EXAMPLE;
        const char *host = end + strlen("://");
        if (host[strcspn(host, "/?#\\")])
                return "must end with its host or port: no slash and no path behind it";
        if (strchr(host, '@'))
                return "must be without a user's name: \"scheme://host\" alone";
        if (hl_has_prefix(named, "http://"))
                return problem_of_web(host, 80);
        return hl_has_prefix(named, "https://") ? problem_of_web(host, 443) : problem_of_own(host);
}

bool hl_origin_is(const char *named, const char *sent)
{
        size_t len = strlen(named);
        if (len > 4 && strcmp(named + len - 4, "://*") == 0)
                return strncasecmp(named, sent, len - 1) == 0 && !strchr(sent + len - 1, '/');
        return strcasecmp(named, sent) == 0; /* Safari sends the host of its extensions in upper case */
}
