/* SPDX-License-Identifier: MIT */
/* reading: what our parsers make of bytes, for tests/doors/test_readings.py to lay beside what others make of them.
 *
 * Each line of stdin is a question: a word, and its texts in hexadecimal. Each line of stdout is its answer. */
#include "base/endpoint.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/guard.h"
#include "http/parser.h"
#include "http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX 2

struct text {
        char *bytes; /* with a NUL behind it */
        size_t len;
};

static void put(const char *bytes, size_t len)
{
        putchar(' ');
        for (size_t i = 0; i < len; i++)
                printf("%02x", (unsigned char)bytes[i]);
        if (len == 0)
                putchar('-');
}

static void put_text(const char *text)
{
        if (text)
                put(text, strlen(text));
        else
                fputs(" none", stdout);
}

static void json(const struct text *t)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *object = NULL;
        struct hl_err err = { 0 };
        struct hl_buf out = { 0 };
        if (hl_json_parse(t[0].bytes, t[0].len, &object, &err) < 0) {
                printf("no %s", err.code);
                return;
        }
        hl_json_print(object, &out);
        printf("ok");
        put(out.data, out.len);
        hl_buf_free(&out);
}

static void percent(const struct text *t)
{
        HL_CLEANUP(hl_free_pointer) char *decoded = NULL;
        if (hl_percent_decode(t[0].bytes, t[0].len, &decoded) < 0) {
                printf("no");
                return;
        }
        printf("ok");
        put_text(decoded);
}

static void query(const struct text *t)
{
        struct hl_request request = { 0 };
        struct hl_problem problem;
        HL_CLEANUP(hl_free_pointer) char *value = NULL;
        if (hl_request_target(&request, t[0].bytes, &problem) < 0 ||
            hl_request_query(&request, t[1].bytes, &value) < 0) {
                printf("no");
        } else {
                printf("ok");
                put_text(value);
        }
        hl_request_free(&request);
}

static void endpoint(const struct text *t)
{
        struct hl_endpoint end = hl_endpoint_parse(t[0].bytes, t[1].bytes);
        printf("%d %d", hl_address_is_local(t[0].bytes), end.port);
        put((const char *)end.address, sizeof(end.address));
}

/* Whether the Host names this machine, and whose page the Origin is there. */
static void host(const struct text *t)
{
        static const char *const names[] = { "lab.example.org", NULL };
        static const char *const pages[] = { "none", "own", "named", "foreign" };
        const struct hl_guard guard = { .host_names = names };
        struct hl_request request = { .host = t[0].bytes, .origin = t[1].len > 0 ? t[1].bytes : NULL };
        struct hl_problem problem;
        printf("%d %s", hl_guard_admit_host(&guard, &request, &problem) == 0, pages[hl_guard_page(&guard, &request)]);
}

/* One byte at a time: what is refused may not depend on how it arrives. */
static enum hl_parse feed(struct hl_parser *parser, const struct text *t, size_t step, size_t *ret_used,
                          struct hl_problem *ret_problem)
{
        enum hl_parse r = HL_PARSE_MORE;
        *ret_used = 0;
        for (size_t at = 0; at < t->len && (r == HL_PARSE_MORE || r == HL_PARSE_EXPECT); at += step) {
                size_t used = 0;
                r = hl_parser_feed(parser, t->bytes + at, t->len - at < step ? t->len - at : step, &used, ret_problem);
                *ret_used = at + used;
        }
        return r;
}

static void head_by(const struct text *t, size_t step)
{
        struct hl_request request;
        struct hl_problem problem = { 0 };
        size_t used;
        hl_request_init(&request);
        struct hl_parser *parser = hl_parser_new(&request);
        enum hl_parse r = feed(parser, t, step, &used, &problem);
        if (r == HL_PARSE_BAD) {
                printf("no %d", problem.status);
        } else if (r != HL_PARSE_COMPLETE) {
                printf("more");
        } else {
                printf("ok %zu %d %s", used, hl_parser_keeps_alive(parser), hl_method_name(request.method));
                put_text(request.path);
                put_text(request.query);
                put_text(request.host);
                put(request.body.data, request.body.len);
        }
        hl_parser_free(parser);
        hl_request_free(&request);
}

static void head(const struct text *t)
{
        head_by(t, SIZE_MAX / 2);
        printf(" / ");
        head_by(t, 1);
}

static const struct {
        const char *word;
        void (*answer)(const struct text *texts);
} questions[] = { { "json", json },         { "percent", percent }, { "query", query },
                  { "endpoint", endpoint }, { "host", host },       { "head", head } };

static struct text unhex(const char *hex)
{
        struct text t = { .len = hex ? strlen(hex) / 2 : 0 };
        t.bytes = hl_alloc(t.len + 1);
        for (size_t i = 0; i < t.len; i++)
                t.bytes[i] = (char)(hl_hex_digit(hex[2 * i]) * 16 + hl_hex_digit(hex[2 * i + 1]));
        return t;
}

int main(void)
{
        HL_CLEANUP(hl_free_pointer) char *line = NULL;
        size_t size = 0;
        while (getline(&line, &size, stdin) > 0) {
                char *rest = line;
                const char *word = strsep(&rest, " \n");
                struct text texts[TEXTS_MAX];
                for (size_t i = 0; i < TEXTS_MAX; i++)
                        texts[i] = unhex(rest ? strsep(&rest, " \n") : NULL);
                for (size_t i = 0; i < HL_COUNT(questions); i++)
                        if (strcmp(questions[i].word, word) == 0)
                                questions[i].answer(texts);
                putchar('\n');
                for (size_t i = 0; i < TEXTS_MAX; i++)
                        free(texts[i].bytes);
        }
        return 0;
}
