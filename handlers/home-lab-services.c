/* home-lab-services - what people, and the coordinator unit, run: check, status, token. */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/scope.h"
#include "check.h"
#include "lab/config.h"
#include "lab/tokens.h"
#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
        "Usage: home-lab-services COMMAND\n"
        "\n"
        "  check                          is everything set up as it must be? All errors at once\n"
        "  status                         what runs, what is scheduled, what is idle\n"
        "  token add NAME --scope SCOPE   a new token for requests from other machines; shown once\n"
        "  token list                     the names, scopes and dates of the tokens\n"
        "  token revoke NAME              the token stops working at once\n"
        "\n"
        "SCOPE is read (look), use (ask models), control (both, and start and stop models) or power (also shut down).\n"
        "\n"
        "check ends with 0, or 78: the configuration or the tokens, 77: permissions or polkit,\n"
        "75: a port is in use, 69: no bus, 65: only model files, or NGINX, are wrong.\n";

static int exit_status(const struct hl_err *err)
{
        switch (err->kind) {
        case HL_ERR_NONE:
                return EX_OK;
        case HL_ERR_INVALID:
                return EX_USAGE;
        case HL_ERR_NOT_FOUND:
        case HL_ERR_CONFLICT:
                return EX_DATAERR;
        default:
                return err->errnum == EACCES || err->errnum == EPERM ? EX_NOPERM : EX_CONFIG;
        }
}

static int finish(const struct hl_err *err)
{
        if (err->kind)
                fprintf(stderr, "error: %s\n", err->message);
        return exit_status(err);
}

static int token_add(const char *name, const char *scope)
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
                        "This is the only time the token is shown. Send it as \"Authorization: Bearer TOKEN\",\n"
                        "\"x-api-key: TOKEN\" or \"api-key: TOKEN\".\n");
        }
        return finish(&err);
}

static int token_list(void)
{
        struct hl_tokens tokens;
        struct hl_err err = { 0 };
        if (hl_tokens_load(NULL, NULL, &tokens, &err) == 0) {
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

static int token_revoke(const char *name)
{
        struct hl_err err = { 0 };
        if (hl_tokens_revoke(name, &err) == 0)
                printf("Token %s is revoked.\n", name);
        return finish(&err);
}

static int wrong_usage(void)
{
        fputs(usage, stderr);
        return EX_USAGE;
}

static int token(int argc, char **argv)
{
        if (argc == 4 && strcmp(argv[0], "add") == 0 && strcmp(argv[2], "--scope") == 0)
                return token_add(argv[1], argv[3]);
        if (argc == 4 && strcmp(argv[0], "add") == 0 && strcmp(argv[1], "--scope") == 0)
                return token_add(argv[3], argv[2]);
        if (argc == 2 && strcmp(argv[0], "add") == 0) {
                fputs("error: --scope is missing: " HL_SCOPE_CHOICES "\n", stderr);
                return EX_USAGE;
        }
        if (argc == 1 && strcmp(argv[0], "list") == 0)
                return token_list();
        if (argc == 2 && strcmp(argv[0], "revoke") == 0)
                return token_revoke(argv[1]);
        return wrong_usage();
}

int main(int argc, char **argv)
{
        hl_config_adopt_environment();
        const char *command = argc > 1 ? argv[1] : "";
        if (argc == 2 && strcmp(command, "check") == 0)
                return hl_check();
        if (argc == 2 && strcmp(command, "status") == 0)
                return hl_status();
        if (argc > 2 && strcmp(command, "token") == 0)
                return token(argc - 2, argv + 2);
        if (argc == 2 && (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)) {
                fputs(usage, stdout);
                return EX_OK;
        }
        return wrong_usage();
}
