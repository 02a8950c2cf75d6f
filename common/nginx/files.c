/* SPDX-License-Identifier: MIT */
#include "files.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>

#define FILE_SIZE_MAX (4 * 1024 * 1024) /* bytes */
#define DEPTH_MAX 16                    /* includes in includes: a file that includes itself ends here */

struct walk {
        char *prefix; /* the folder that relative includes are below */
        hl_nginx_directive_fn *each;
        void *data;
        unsigned depth;
};

/* The directive that is being read. */
struct reading {
        struct hl_nginx_directive directive;
        struct hl_buf text; /* its words, each with a NUL */
        size_t starts[HL_NGINX_WORDS_MAX];
};

static int walk_file(struct walk *walk, const char *path);

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Adds the word at `at`, without its quotes and backslashes. Returns what stands behind it. */
static const char *add_word(struct reading *reading, const char *at)
{
        char quote = *at == '"' || *at == '\'' ? *at++ : '\0';
        struct hl_nginx_directive *directive = &reading->directive;
        bool kept = directive->count < HL_NGINX_WORDS_MAX;
        if (kept)
                reading->starts[directive->count++] = reading->text.len;
        for (; *at && (quote ? *at != quote : !is_space(*at) && *at != ';' && *at != '{'); at++) {
                if (*at == '\\' && at[1])
                        at++;
                else if (!quote && *at == '$' && at[1] == '{' && kept) /* a variable's brace opens no block */
                        hl_buf_add(&reading->text, at++, 1);
                directive->line += *at == '\n';
                if (kept)
                        hl_buf_add(&reading->text, at, 1);
        }
        if (kept)
                hl_buf_add(&reading->text, "", 1);
        return quote && *at ? at + 1 : at;
}

static void follow(struct walk *walk, const char *pattern)
{
        HL_CLEANUP(hl_free_pointer)
        char *whole = *pattern == '/' ? hl_strdup(pattern) : hl_format("%s/%s", walk->prefix, pattern);
        glob_t found;
        if (walk->depth >= DEPTH_MAX || glob(whole, 0, NULL, &found) != 0)
                return;
        for (size_t i = 0; i < found.gl_pathc; i++)
                walk_file(walk, found.gl_pathv[i]);
        globfree(&found);
}

/* What was read until here is a directive, or the end of a block where there is nothing. */
static void tell(struct walk *walk, struct reading *reading, bool block)
{
        struct hl_nginx_directive *directive = &reading->directive;
        for (size_t i = 0; i < directive->count; i++)
                directive->words[i] = reading->text.data + reading->starts[i];
        directive->block = block;
        walk->each(walk->data, directive);
        if (directive->count > 1 && !block && strcmp(directive->words[0], "include") == 0)
                follow(walk, directive->words[1]);
        directive->count = 0;
        hl_buf_drop(&reading->text, reading->text.len);
}

static void walk_text(struct walk *walk, const char *path, const char *at)
{
        struct reading reading = { .directive = { .file = path, .line = 1 } };
        while (*at) {
                if (is_space(*at)) {
                        reading.directive.line += *at++ == '\n';
                } else if (*at == '#') {
                        at += strcspn(at, "\n");
                } else if (*at == ';' || *at == '{') {
                        if (reading.directive.count > 0)
                                tell(walk, &reading, *at == '{');
                        at++;
                } else if (*at == '}' && reading.directive.count == 0) {
                        tell(walk, &reading, false);
                        at++;
                } else {
                        at = add_word(&reading, at);
                }
        }
        hl_buf_free(&reading.text);
}

static int walk_file(struct walk *walk, const char *path)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        int r = hl_read_file(AT_FDCWD, path, FILE_SIZE_MAX, &text);
        if (r < 0)
                return r;
        walk->depth++;
        if (text.data)
                walk_text(walk, path, text.data);
        walk->depth--;
        return 0;
}

int hl_nginx_files_walk(const char *path, hl_nginx_directive_fn *each, void *data)
{
        const char *slash = strrchr(path, '/');
        HL_CLEANUP(hl_free_pointer) char *prefix = slash ? hl_strndup(path, (size_t)(slash - path)) : hl_strdup(".");
        struct walk walk = { .prefix = prefix, .each = each, .data = data };
        return walk_file(&walk, path);
}
