/* SPDX-License-Identifier: MIT */
/* The file of tokens. One that is taken is written anew with a token more, and read again as the same tokens. */
#include "fuzz.h"

#include "base/err.h"
#include "base/io.h"
#include "base/scope.h"
#include "config/tokens.h"

#include <errno.h>
#include <string.h>

static const void *text;
static size_t text_len;
static struct hl_buf written;

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        (void)dir_fd;
        (void)path;
        return fuzz_give(text, text_len, max, buf);
}

int __wrap_hl_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, gid_t gid);
int __wrap_hl_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, gid_t gid)
{
        (void)path;
        (void)gid;
        fuzz_must(mode == 0640);
        return hl_buf_add(&written, bytes, len);
}

static unsigned findings;

static void finding(void *data, const char *path, unsigned line, const char *key, const char *message)
{
        (void)data;
        (void)path;
        (void)key;
        fuzz_must(line > 0 || text_len > HL_TOKENS_FILE_SIZE_MAX);
        fuzz_must(*message);
        findings++;
}

static void check(const struct hl_token *token)
{
        fuzz_must(*token->name && strlen(token->name) <= HL_TOKEN_NAME_MAX && !strpbrk(token->name, " \n/"));
        fuzz_must(hl_scope_bits(token->scope) != HL_SCOPE_NONE);
        fuzz_must(strlen(token->hash) == HL_TOKEN_HASH_SIZE - 1);
}

static void write_anew(const struct hl_tokens *tokens)
{
        struct hl_err err = { 0 };
        char secret[HL_TOKEN_SECRET_SIZE];
        struct hl_tokens again = { 0 };
        struct hl_token found;
        int r = hl_tokens_add("a-new-one", "use", secret, &err);
        if (r == -EEXIST)
                return;
        fuzz_must(r == 0);
        text = written.data;
        text_len = written.len;
        if (written.len > HL_TOKENS_FILE_SIZE_MAX)
                return;
        fuzz_must(hl_tokens_load(NULL, &again, &err) == 0 && again.count == tokens->count + 1);
        for (size_t i = 0; i < tokens->count; i++) {
                const struct hl_token *a = &tokens->tokens[i], *b = &again.tokens[i];
                fuzz_must(strcmp(a->name, b->name) == 0 && strcmp(a->scope, b->scope) == 0 &&
                          strcmp(a->hash, b->hash) == 0 && a->created_us / 1000000 == b->created_us / 1000000);
        }
        fuzz_must(hl_tokens_find(secret, &found, &err) == 1 && strcmp(found.name, "a-new-one") == 0);
        secret[strlen(secret) - 1] ^= 1;
        fuzz_must(hl_tokens_find(secret, &found, &err) == 0);
        hl_tokens_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct hl_tokens tokens = { 0 };
        struct hl_err err = { 0 };
        const struct hl_report report = { finding, NULL };
        setenv("CONFIGURATION_DIRECTORY", "/", 1); /* to be locked; nothing is written there */
        text = data;
        text_len = size;
        findings = 0;
        int r = hl_tokens_load(&report, &tokens, &err);
        fuzz_must(r == 0 ? findings == 0 : findings > 0 && err.kind == HL_ERR_INTERNAL && !tokens.tokens);
        for (size_t i = 0; i < tokens.count; i++)
                check(&tokens.tokens[i]);
        if (r == 0)
                write_anew(&tokens);
        hl_tokens_free(&tokens);
        hl_buf_free(&written);
        return 0;
}
