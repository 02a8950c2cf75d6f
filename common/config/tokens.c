/* SPDX-License-Identifier: MIT */
#include "tokens.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECRET_BYTES 32
#define LOCK_LOOK_US (20 * HL_USEC_PER_MSEC)
#define SERVICE_GROUP "home-lab-services" /* may read the file */

static char *file_path(void)
{
        return hl_format("%s/tokens", hl_configuration_dir());
}

static void hash_secret(const char *secret, char hash[HL_TOKEN_HASH_SIZE])
{
        SHA256Data((const uint8_t *)secret, strlen(secret), hash);
}

static bool is_name(const char *name)
{
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
        return len > 0 && len <= HL_TOKEN_NAME_MAX && !name[len];
}

static bool parse_line(const char *line, struct hl_token *token)
{
        struct hl_token t = { 0 };
        char created[HL_RFC3339_SIZE];
        int end = 0;
        if (sscanf(line, "%64s %15s %64s %31s %n", t.name, t.scope, t.hash, created, &end) != 4 || line[end] ||
            !is_name(t.name) || !hl_scope_bits(t.scope) || strlen(t.hash) != HL_TOKEN_HASH_SIZE - 1 ||
            strspn(t.hash, "0123456789abcdef") != strlen(t.hash) || hl_parse_rfc3339(created, &t.created_us) < 0)
                return false;
        *token = t;
        return true;
}

int hl_tokens_load(const struct hl_report *report, struct hl_tokens *ret_tokens, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = file_path();
        struct hl_buf text = { 0 };
        struct hl_tokens tokens = { 0 };
        unsigned number = 0, wrong = 0;
        int r = hl_read_file(AT_FDCWD, path, HL_TOKENS_FILE_SIZE_MAX, &text);
        if (r == -ENOENT)
                r = 0;

        char *rest = text.data, *line;
        while (r == 0 && rest && (line = strsep(&rest, "\n"))) {
                struct hl_token token;
                number++;
                line += strspn(line, " \t");
                if (!*line || *line == '#')
                        continue;
                if (!parse_line(line, &token)) {
                        wrong++;
                        hl_report_tell(report, path, number, "",
                                       "expected NAME SCOPE SHA256 CREATED: use \"home-lab-services token add\"");
                        continue;
                }
                tokens.tokens = hl_grow(tokens.tokens, tokens.count + 1, sizeof(token));
                tokens.tokens[tokens.count++] = token;
        }
        hl_buf_free(&text);
        if (r < 0 || wrong > 0) {
                if (r < 0)
                        hl_report_tell(report, path, 0, "", strerror(-r));
                hl_tokens_free(&tokens);
                if (hl_may_pass(r))
                        return hl_fail(err, HL_ERR_BUSY, -r, "configuration_unreadable", "%s: %s", path, strerror(-r));
                return hl_fail(err, HL_ERR_INTERNAL, r < 0 ? -r : EINVAL, "internal_error", "%s: %s", path,
                               r < 0 ? strerror(-r) : "a line is not valid: \"home-lab-services check\" says which");
        }
        *ret_tokens = tokens;
        return 0;
}

void hl_tokens_free(struct hl_tokens *tokens)
{
        free(tokens->tokens);
        *tokens = (struct hl_tokens){ 0 };
}

int hl_tokens_find(const char *secret, struct hl_token *ret_token, struct hl_err *err)
{
        struct hl_tokens tokens;
        char hash[HL_TOKEN_HASH_SIZE];
        int r = hl_tokens_load(NULL, &tokens, err);
        if (r < 0)
                return r;
        hash_secret(secret, hash);
        int found = 0;
        for (size_t i = 0; i < tokens.count; i++)
                if (hl_equal_secret(tokens.tokens[i].hash, hash)) {
                        *ret_token = tokens.tokens[i];
                        found = 1;
                }
        hl_tokens_free(&tokens);
        return found;
}

int hl_tokens_scopes(const char *secret, struct hl_token *ret_token, struct hl_err *err)
{
        int r = hl_tokens_find(secret, ret_token, err);
        if (r < 0 && err->kind == HL_ERR_BUSY)
                return -EAGAIN;
        return r > 0 ? (int)hl_scope_bits(ret_token->scope) : r;
}

static int save(const struct hl_tokens *tokens, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = file_path();
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, "# NAME SCOPE SHA256 CREATED, written by \"home-lab-services token\"\n");
        for (size_t i = 0; i < tokens->count; i++) {
                char created[HL_RFC3339_SIZE];
                const struct hl_token *t = &tokens->tokens[i];
                hl_buf_addf(&text, "%s %s %s %s\n", t->name, t->scope, t->hash,
                            hl_format_rfc3339(t->created_us, created));
        }
        const struct group *group = getgrnam(SERVICE_GROUP);
        int r = hl_replace_file(path, text.data, text.len, 0640, group ? group->gr_gid : (gid_t)-1);
        hl_buf_free(&text);
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s%s", path, strerror(-r),
                               r == -EACCES ? " (tokens are made by root)" : "")
                     : 0;
}

/* Of the process that has the lock; 0: it has let go. */
static pid_t holder_of(int fd)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

/* Two of these commands at once must not lose a token: they take turns, by a file that nobody else may open. */
static int lock_tokens(struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/tokens.lock", hl_configuration_dir());
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m%s", path,
                               errno == EACCES ? " (tokens are made by root)" : "");
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        uint64_t deadline_us = hl_clock_monotonic() + HL_TOKENS_LOCK_US;
        while (fcntl(fd, F_SETLK, &lock) < 0) {
                if (errno != EAGAIN && errno != EACCES && errno != EINTR)
                        return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", path);
                if (hl_clock_monotonic() >= deadline_us) {
                        pid_t holder = holder_of(fd);
                        return hl_fail(
                                err, HL_ERR_BUSY, EBUSY, "tokens_locked",
                                "another command has held %s for %llu s: \"ps %d\" shows it, \"kill %d\" ends it", path,
                                (unsigned long long)(HL_TOKENS_LOCK_US / HL_USEC_PER_SEC), holder, holder);
                }
                hl_sleep_or_hangup(-1, LOCK_LOOK_US);
        }
        int locked = fd;
        fd = -1;
        return locked;
}

static size_t position(const struct hl_tokens *tokens, const char *name)
{
        size_t i = 0;
        while (i < tokens->count && strcmp(tokens->tokens[i].name, name) != 0)
                i++;
        return i;
}

int hl_tokens_add(const char *name, const char *scope, char *ret_secret, struct hl_err *err)
{
        if (!is_name(name))
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_name",
                               "a token's name is letters, digits and . _ -, at most %d", HL_TOKEN_NAME_MAX);
        if (!hl_scope_bits(scope))
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_scope", "the scope is " HL_SCOPE_CHOICES);

        HL_CLEANUP(hl_close_fd) int lock = lock_tokens(err);
        if (lock < 0)
                return lock;
        HL_CLEANUP(hl_tokens_free) struct hl_tokens tokens = { 0 };
        int r = hl_tokens_load(NULL, &tokens, err);
        if (r < 0)
                return r;
        if (position(&tokens, name) < tokens.count)
                return hl_fail(err, HL_ERR_CONFLICT, EEXIST, "token_exists",
                               "there is a token \"%s\" already: revoke it first", name);

        unsigned char bytes[SECRET_BYTES];
        char secret[HL_TOKEN_SECRET_SIZE] = HL_TOKEN_PREFIX;
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                abort();
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(secret + strlen(HL_TOKEN_PREFIX) + 2 * i, 3, "%02x", bytes[i]);

        struct hl_token token = { .created_us = hl_clock_realtime() };
        hl_copy(token.name, sizeof(token.name), name);
        hl_copy(token.scope, sizeof(token.scope), scope);
        hash_secret(secret, token.hash);
        tokens.tokens = hl_grow(tokens.tokens, tokens.count + 1, sizeof(token));
        tokens.tokens[tokens.count++] = token;
        r = save(&tokens, err);
        if (r == 0)
                memcpy(ret_secret, secret, sizeof(secret));
        return r;
}

int hl_tokens_revoke(const char *name, struct hl_err *err)
{
        HL_CLEANUP(hl_close_fd) int lock = lock_tokens(err);
        if (lock < 0)
                return lock;
        HL_CLEANUP(hl_tokens_free) struct hl_tokens tokens = { 0 };
        int r = hl_tokens_load(NULL, &tokens, err);
        if (r < 0)
                return r;
        size_t i = position(&tokens, name);
        if (i == tokens.count)
                return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "token_not_found", "there is no token \"%s\"", name);
        memmove(&tokens.tokens[i], &tokens.tokens[i + 1], (tokens.count - i - 1) * sizeof(*tokens.tokens));
        tokens.count--;
        return save(&tokens, err);
}
