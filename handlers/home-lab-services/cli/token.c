/* SPDX-License-Identifier: MIT */
/* token: who else may ask. The file of tokens is root's, so this asks no service. */
#include "base/clock.h"
#include "base/scope.h"
#include "cli.h"
#include "config/tokens.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

static int finish(const struct hl_err *err)
{
        struct hl_err told = { 0 };
        if (err->errnum != EACCES && err->errnum != EPERM)
                return cli_finish(err);
        hl_fail(&told, err->kind, err->errnum, err->code, "%s: only root may, use sudo", err->message);
        return cli_finish(&told);
}

static int add(const char *name, const char *scope)
{
        char secret[HL_TOKEN_SECRET_SIZE];
        struct hl_err err = { 0 };
        if (hl_tokens_add(name, scope, secret, &err) == 0) {
                if (puts(secret) == EOF || fflush(stdout) == EOF) { /* nobody has seen it */
                        hl_tokens_revoke(name, &err);
                        hl_fail(&err, HL_ERR_INTERNAL, EIO, "internal_error",
                                "the token could not be written out: it is revoked");
                        return finish(&err);
                }
                fprintf(stderr,
                        "This is the only time the token is shown. Send it as \"Authorization: Bearer TOKEN\".\n");
        }
        return finish(&err);
}

static int list(void)
{
        struct hl_tokens tokens;
        struct hl_err err = { 0 };
        if (hl_tokens_load(NULL, &tokens, &err) == 0) {
                for (size_t i = 0; i < tokens.count; i++) {
                        char created[HL_RFC3339_SIZE];
                        printf("%-24s %-8s %s\n", tokens.tokens[i].name, tokens.tokens[i].scope,
                               hl_format_rfc3339(tokens.tokens[i].created_us, created));
                }
                if (tokens.count == 0)
                        fputs("There are no tokens.\n", stderr);
                hl_tokens_free(&tokens);
        }
        return finish(&err);
}

static int revoke(const char *name)
{
        struct hl_err err = { 0 };
        if (hl_tokens_revoke(name, &err) == 0)
                printf("Token %s is revoked.\n", name);
        return finish(&err);
}

int cli_token(const struct cli *cli)
{
        const char *verb = cli->words[0], *name = cli->word_count > 1 ? cli->words[1] : NULL;
        if (strcmp(verb, "add") == 0 && name && cli->scope)
                return add(name, cli->scope);
        if (strcmp(verb, "add") == 0 && name) {
                fputs("error: --scope is missing: " HL_SCOPE_CHOICES "\n", stderr);
                return EX_USAGE;
        }
        if (strcmp(verb, "list") == 0 && !name)
                return list();
        if (strcmp(verb, "revoke") == 0 && name)
                return revoke(name);
        fputs("Usage: home-lab-services token add NAME --scope SCOPE | list | revoke NAME\n", stderr);
        return EX_USAGE;
}
