/* SPDX-License-Identifier: MIT */
/* config/tokens: make, find, revoke; a broken file lets nobody in. */
#include "support.h"

#include "base/mem.h"
#include "base/scope.h"
#include "config/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void added_found_and_revoked(void **state)
{
        char first[HL_TOKEN_SECRET_SIZE], second[HL_TOKEN_SECRET_SIZE];
        struct hl_token token = { 0 };
        struct hl_tokens tokens;
        struct hl_err err = { 0 };
        struct stat status;
        assert_int_equal(hl_tokens_add("laptop", "control", first, &err), 0);
        assert_int_equal(hl_tokens_add("phone.2", "read", second, &err), 0);
        assert_int_equal(strncmp(first, "hls_", 4), 0);
        assert_int_equal(strlen(first), 4 + 64);
        assert_int_equal(strspn(first + 4, "0123456789abcdef"), 64);
        assert_string_not_equal(first, second);

        assert_int_equal(hl_tokens_find(first, &token, &err), 1);
        assert_string_equal(token.name, "laptop");
        assert_string_equal(token.scope, "control");
        assert_int_equal(hl_tokens_find(second, &token, &err), 1);
        assert_string_equal(token.name, "phone.2");
        assert_int_equal(hl_tokens_load(NULL, &tokens, &err), 0);
        assert_int_equal(tokens.count, 2);
        assert_true(tokens.tokens[0].created_us > 0);
        hl_tokens_free(&tokens);

        const char *path = test_path(*state, "tokens");
        char *text = test_read(path);
        assert_null(strstr(text, first)); /* neither the secret nor its digits stand there */
        assert_null(strstr(text, first + 4));
        free(text);
        must(stat(path, &status) == 0);
        assert_int_equal(status.st_mode & 0777, 0640);

        assert_int_equal(hl_tokens_revoke("laptop", &err), 0);
        assert_int_equal(hl_tokens_find(first, &token, &err), 0);
        assert_int_equal(hl_tokens_find(second, &token, &err), 1);
        assert_int_equal(hl_tokens_revoke("phone.2", &err), 0);
        assert_int_equal(hl_tokens_find(second, &token, &err), 0);
        assert_int_equal(err.kind, HL_ERR_NONE);
}

static void a_scope_has_the_bits_of_those_it_includes(void **state)
{
        (void)state;
        static const struct {
                const char *scope;
                unsigned bits;
        } scopes[] = {
                { "read", HL_SCOPE_READ | HL_SCOPE_LOGS },
                { "use", HL_SCOPE_USE },
                { "control", HL_SCOPE_READ | HL_SCOPE_LOGS | HL_SCOPE_USE | HL_SCOPE_REPORT | HL_SCOPE_CONTROL },
                { "power", HL_SCOPE_ALL },
        };
        for (size_t i = 0; i < HL_COUNT(scopes); i++) {
                char secret[HL_TOKEN_SECRET_SIZE];
                struct hl_token token = { 0 };
                struct hl_err err = { 0 };
                must(hl_tokens_add(scopes[i].scope, scopes[i].scope, secret, &err) == 0);
                assert_int_equal(hl_tokens_scopes(secret, &token, &err), scopes[i].bits);
                assert_string_equal(token.name, scopes[i].scope);
                assert_string_equal(hl_scope_name(scopes[i].bits), scopes[i].scope);
                assert_int_equal(hl_tokens_scopes("hls_0", &token, &err), HL_SCOPE_NONE);
                must(hl_tokens_revoke(scopes[i].scope, &err) == 0);
                assert_int_equal(hl_tokens_scopes(secret, &token, &err), HL_SCOPE_NONE);
        }
        assert_string_equal(hl_scope_name(HL_SCOPE_NONE), "none");
        assert_string_equal(hl_scope_name(HL_SCOPE_READ | HL_SCOPE_USE), "use");
        assert_int_equal(hl_scope_bits("none"), HL_SCOPE_NONE);
}

static void what_is_like_a_secret_is_not_one(void **state)
{
        (void)state;
        char secret[HL_TOKEN_SECRET_SIZE], hash[HL_TOKEN_HASH_SIZE];
        struct hl_token token = { .name = "before" };
        struct hl_tokens tokens;
        struct hl_err err = { 0 };
        must(hl_tokens_add("a", "power", secret, &err) == 0);
        must(hl_tokens_load(NULL, &tokens, &err) == 0);
        strcpy(hash, tokens.tokens[0].hash);
        hl_tokens_free(&tokens);
        assert_int_equal(hl_tokens_find(hash, &token, &err), 0); /* who reads the file has no secret */
        assert_int_equal(hl_tokens_find("", &token, &err), 0);
        assert_int_equal(hl_tokens_find("a", &token, &err), 0);
        secret[strlen(secret) - 1] ^= 1;
        assert_int_equal(hl_tokens_find(secret, &token, &err), 0);
        assert_string_equal(token.name, "before");
}

static void names_and_scopes_are_checked(void **state)
{
        static const char *const names[] = {
                "",    "a b",      "a\nb",
                "a/b", "\xC3\xA9", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        };
        static const char *const scopes[] = { "", "admin", "read,control", "Read", "none", "used", "use,read" };
        char secret[HL_TOKEN_SECRET_SIZE] = "untouched";
        for (size_t i = 0; i < HL_COUNT(names); i++) {
                struct hl_err err = { 0 };
                assert_int_equal(hl_tokens_add(names[i], "read", secret, &err), -EINVAL);
                assert_string_equal(err.code, "invalid_name");
        }
        for (size_t i = 0; i < HL_COUNT(scopes); i++) {
                struct hl_err err = { 0 };
                assert_int_equal(hl_tokens_add("a", scopes[i], secret, &err), -EINVAL);
                assert_string_equal(err.code, "invalid_scope");
        }
        assert_string_equal(secret, "untouched");
        assert_int_equal(access(test_path(*state, "tokens"), F_OK), -1);
        struct hl_err err = { 0 };
        assert_int_equal(
                hl_tokens_add("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "read", secret, &err),
                0);
}

static void conflicts_and_absences(void **state)
{
        (void)state;
        char secret[HL_TOKEN_SECRET_SIZE], other[HL_TOKEN_SECRET_SIZE] = "untouched";
        struct hl_err err = { 0 };
        must(hl_tokens_add("a", "read", secret, &err) == 0);
        assert_int_equal(hl_tokens_add("a", "power", other, &err), -EEXIST);
        assert_int_equal(err.kind, HL_ERR_CONFLICT);
        assert_string_equal(err.code, "token_exists");
        assert_string_equal(other, "untouched");
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_tokens_revoke("b", &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
        assert_string_equal(err.code, "token_not_found");
        struct hl_token token;
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_tokens_find(secret, &token, &err), 1);
        assert_string_equal(token.scope, "read");
}

static void an_absent_file_is_an_empty_list(void **state)
{
        (void)state;
        struct hl_tokens tokens;
        struct hl_token token;
        struct hl_err err = { 0 };
        assert_int_equal(hl_tokens_load(NULL, &tokens, &err), 0);
        assert_int_equal(tokens.count, 0);
        hl_tokens_free(&tokens);
        assert_int_equal(hl_tokens_find("x", &token, &err), 0);
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CREATED "2026-01-31T23:00:00+01:00"

static void a_broken_line_lets_nobody_in(void **state)
{
        static const char *const broken[] = {
                "a read " HASH "\n",
                "a read " HASH " yesterday\n",
                "a read " HASH " " CREATED " more\n",
                "a admin " HASH " " CREATED "\n",
                "a read 0123 " CREATED "\n",
                "a read 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef " CREATED "\n",
                "a read " HASH "0 " CREATED "\n",
                "a/b read " HASH " " CREATED "\n",
                "nonsense\n",
        };
        for (size_t i = 0; i < HL_COUNT(broken); i++) {
                char secret[HL_TOKEN_SECRET_SIZE];
                struct hl_err err = { 0 };
                struct hl_token token;
                struct hl_tokens tokens = { .count = 42 };
                struct hl_buf findings = { 0 };
                unlink(test_path(*state, "tokens"));
                must(hl_tokens_add("good", "power", secret, &err) == 0);
                char *before = test_read(test_path(*state, "tokens")), *text = hl_format("%s%s", before, broken[i]);
                test_write(*state, "tokens", text);

                if (hl_tokens_find(secret, &token, &err) != -EINVAL)
                        fail_msg("%s", broken[i]);
                assert_int_equal(err.kind, HL_ERR_INTERNAL);
                assert_int_equal(hl_tokens_load(&(struct hl_report){ test_note_finding, &findings }, &tokens, &err),
                                 -EINVAL);
                assert_true(test_contains(&findings, "tokens:3: : expected NAME SCOPE SHA256 CREATED"));
                assert_int_equal(tokens.count, 42);
                err = (struct hl_err){ 0 };
                assert_int_equal(hl_tokens_add("more", "read", secret, &err), -EINVAL);
                assert_int_equal(hl_tokens_revoke("good", &err), -EINVAL);
                char *after = test_read(test_path(*state, "tokens"));
                assert_string_equal(after, text); /* nothing was written over it */
                free(before);
                free(text);
                free(after);
                hl_buf_free(&findings);
        }
}

static void comments_and_empty_lines_are_no_tokens(void **state)
{
        struct hl_tokens tokens;
        struct hl_err err = { 0 };
        test_write(*state, "tokens", "# comment\n\n  \t\n  a read " HASH " " CREATED "  \n\tb power " HASH " " CREATED);
        assert_int_equal(hl_tokens_load(NULL, &tokens, &err), 0);
        assert_int_equal(tokens.count, 2);
        assert_string_equal(tokens.tokens[1].name, "b");
        hl_tokens_free(&tokens);
}

static void an_unreadable_file_lets_nobody_in(void **state)
{
        struct hl_token token;
        struct hl_err err = { 0 };
        struct hl_buf findings = { 0 };
        struct hl_tokens tokens;
        must(mkdir(test_path(*state, "tokens"), 0755) == 0);
        assert_int_equal(hl_tokens_find("x", &token, &err), -EISDIR);
        assert_int_equal(hl_tokens_scopes("x", &token, &err), -EISDIR);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_int_equal(hl_tokens_load(&(struct hl_report){ test_note_finding, &findings }, &tokens, &err), -EISDIR);
        assert_string_equal(findings.data, "tokens:0: : Is a directory\n");
        hl_buf_free(&findings);
        must(rmdir(test_path(*state, "tokens")) == 0);

        char secret[HL_TOKEN_SECRET_SIZE];
        err = (struct hl_err){ 0 };
        setenv("CONFIGURATION_DIRECTORY", "/nonexistent", 1);
        assert_int_equal(hl_tokens_add("a", "read", secret, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
}

static int read_result = 1; /* what reading a file returns; 1: what it does */

int __real_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        return read_result < 1 ? read_result : __real_hl_read_file(dir_fd, path, max, buf);
}

/* It is nobody's fault, and who asks again is let in. */
static void what_cannot_be_read_for_the_moment_may_be_tried_again(void **state)
{
        (void)state;
        static const int rows[] = { EIO, EMFILE, ENFILE, ENOMEM, ESTALE };
        char secret[HL_TOKEN_SECRET_SIZE], second[HL_TOKEN_SECRET_SIZE];
        struct hl_token token;
        struct hl_err err = { 0 };
        assert_int_equal(hl_tokens_add("a", "read", secret, &err), 0);
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                read_result = -rows[i];
                err = (struct hl_err){ 0 };
                assert_int_equal(hl_tokens_scopes(secret, &token, &err), -EAGAIN);
                assert_int_equal(err.kind, HL_ERR_BUSY);
                assert_string_equal(err.code, "configuration_unreadable");
                assert_int_equal(hl_tokens_add("b", "read", second, &err), -rows[i]);
                assert_int_equal(hl_tokens_revoke("a", &err), -rows[i]);
                read_result = 1;
                assert_int_equal(hl_tokens_scopes(secret, &token, &(struct hl_err){ 0 }), hl_scope_bits("read"));
        }
}

/* Another program that holds the lock, until its end of the pipe is closed. */
static pid_t hold(const char *path, int type, int *ret_end)
{
        int held[2], ends[2];
        char byte = 0;
        must(pipe(held) == 0 && pipe(ends) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                close(ends[1]);
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
                int fd = open(path, type);
                must(fd >= 0 && (type == O_RDONLY ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLK, &lock)) == 0);
                must(write(held[1], "", 1) == 1);
                _exit(read(ends[0], &byte, 1) != 0);
        }
        must(pid > 0 && read(held[0], &byte, 1) == 1);
        close(held[0]);
        close(held[1]);
        close(ends[0]);
        *ret_end = ends[1];
        return pid;
}

static void a_lock_that_is_held_is_told(void **state)
{
        char secret[HL_TOKEN_SECRET_SIZE], said[64];
        struct hl_err err = { 0 };
        struct stat status;
        int end;
        assert_int_equal(hl_tokens_add("a", "read", secret, &err), 0);
        must(stat(test_path(*state, "tokens.lock"), &status) == 0);
        assert_int_equal(status.st_mode & 0777, 0600); /* nobody else can open it, and so hold it */

        pid_t pid = hold(test_path(*state, "tokens.lock"), O_RDWR, &end);
        snprintf(said, sizeof(said), "\"kill %d\"", pid);
        assert_int_equal(hl_tokens_revoke("a", &err), -EBUSY);
        assert_string_equal(err.code, "tokens_locked");
        assert_non_null(strstr(err.message, said));
        close(end);
        must(waitpid(pid, NULL, 0) == pid);

        pid = hold(*state, O_RDONLY, &end); /* the folder may be opened by everybody */
        assert_int_equal(hl_tokens_revoke("a", &err), 0);
        close(end);
        must(waitpid(pid, NULL, 0) == pid);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(added_found_and_revoked),
                IN_FOLDER(a_scope_has_the_bits_of_those_it_includes),
                IN_FOLDER(what_is_like_a_secret_is_not_one),
                IN_FOLDER(names_and_scopes_are_checked),
                IN_FOLDER(conflicts_and_absences),
                IN_FOLDER(an_absent_file_is_an_empty_list),
                IN_FOLDER(a_broken_line_lets_nobody_in),
                IN_FOLDER(comments_and_empty_lines_are_no_tokens),
                IN_FOLDER(an_unreadable_file_lets_nobody_in),
                IN_FOLDER(what_cannot_be_read_for_the_moment_may_be_tried_again),
                IN_FOLDER(a_lock_that_is_held_is_told),
        };
        return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
