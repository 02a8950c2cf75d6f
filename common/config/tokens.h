/* SPDX-License-Identifier: MIT */
/* tokens.h - /etc/home-lab-services/tokens: who may do what from another machine.
 *
 * Shape    one line a token: NAME SCOPE SHA256 CREATED. The secret itself stands nowhere:
 *          it is 256 random bits, so its plain hash gives nothing away.
 * Errors   hl_tokens_find(): -errno/INTERNAL where the file cannot be read or a line is
 *          wrong: nobody is let in by a broken file; -errno/BUSY where it cannot be read for the moment.
 *          hl_tokens_add(): -EEXIST/CONFLICT; hl_tokens_revoke(): -ENOENT/NOT_FOUND; both -EBUSY/BUSY where another
 *          command does not end.
 * Process  the file is read for every request and replaced as a whole: a revoked token
 *          stops at once.
 * Tests    tests/unit/config/test_tokens.c
 */
#ifndef HL_CONFIG_TOKENS_H
#define HL_CONFIG_TOKENS_H

#include "base/report.h"

#include <stddef.h>
#include <stdint.h>

struct hl_err;

#define HL_TOKEN_NAME_MAX 64 /* bytes */
#define HL_TOKEN_SCOPE_SIZE 16
#define HL_TOKEN_HASH_SIZE 65                         /* hexadecimal SHA-256 and the NUL */
#define HL_TOKEN_SECRET_SIZE 72                       /* "hls_", 64 hexadecimal digits, the NUL, and room */
#define HL_TOKENS_FILE_SIZE_MAX 65536                 /* bytes */
#define HL_TOKENS_LOCK_US (UINT64_C(3) * 1000 * 1000) /* that one command waits for another; each takes milliseconds */

struct hl_token {
        char name[HL_TOKEN_NAME_MAX + 1];
        char scope[HL_TOKEN_SCOPE_SIZE]; /* "read", "use", "control" or "power" */
        char hash[HL_TOKEN_HASH_SIZE];
        uint64_t created_us; /* CLOCK_REALTIME */
};

struct hl_tokens {
        struct hl_token *tokens;
        size_t count;
};

/* An absent file is an empty list. */
int hl_tokens_load(const struct hl_report *report, struct hl_tokens *ret_tokens, struct hl_err *err);
void hl_tokens_free(struct hl_tokens *tokens);

/* The token that a secret belongs to: 1 and its copy, 0 where there is none. Compared in constant time. */
int hl_tokens_find(const char *secret, struct hl_token *ret_token, struct hl_err *err);

/* What the bearer of a secret may do: bits of base/scope.h, 0 where it is no token's, -EAGAIN where that cannot be told
 * for the moment, or -errno. ret_token as above. */
int hl_tokens_scopes(const char *secret, struct hl_token *ret_token, struct hl_err *err);

/* ret_secret: HL_TOKEN_SECRET_SIZE bytes; shown once, kept nowhere. */
int hl_tokens_add(const char *name, const char *scope, char *ret_secret, struct hl_err *err);
int hl_tokens_revoke(const char *name, struct hl_err *err);

#endif
