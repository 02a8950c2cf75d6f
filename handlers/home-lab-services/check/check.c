/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/tokens.h"
#include "parts.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define NGINX_USER "home-lab-nginx" /* of nginx-config-updater */

static const int exit_statuses[CAUSE_COUNT] = { EX_CONFIG,      EX_NOPERM,  EX_TEMPFAIL,
                                                EX_UNAVAILABLE, EX_DATAERR, EX_DATAERR };

/* Under systemd the prefix becomes the line's priority in the journal: sd-daemon(3). */
__attribute__((format(printf, 2, 0))) static void print_line(const char *word, const char *format, va_list args)
{
        if (getenv("JOURNAL_STREAM"))
                printf("<%d>", strcmp(word, "error") == 0 ? LOG_ERR : LOG_INFO);
        printf("%s: ", word);
        vprintf(format, args);
        putchar('\n');
}

void hl_check_line(const char *word, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        print_line(word, format, args);
        va_end(args);
}

void hl_check_note(struct hl_check *c, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        print_line("note", format, args);
        va_end(args);
        c->notes++;
}

void hl_check_problem(struct hl_check *c, const char *format, ...)
{
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        c->errors[c->cause]++;
        hl_check_line("error", "%s", text);
        if (!*c->first)
                snprintf(c->first, sizeof(c->first), "%.255s", text);
}

/* Root can read everything, and so does not see why the services cannot. */
static void check_readable(struct hl_check *c, const char *path)
{
        const struct group *group = getgrnam(HL_CHECK_USER);
        struct stat status;
        if (stat(path, &status) < 0)
                return; /* optional */
        if (!(status.st_mode & 004) && !(group && status.st_gid == group->gr_gid && (status.st_mode & 040)))
                hl_check_problem(c, "%s: user %s must be able to read it: chmod 0644 %s", path, HL_CHECK_USER, path);
}

bool hl_check_is_copy(const char *file, const char *message)
{
        const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
        return hl_has_prefix(message, "is skipped") && (*name == '.' || name[strlen(name) - 1] == '~');
}

static void on_finding(void *data, const char *file, unsigned number, const char *key, const char *message)
{
        char at[16] = "";
        if (number)
                snprintf(at, sizeof(at), ":%u", number);
        struct hl_check *c = data;
        if (hl_check_is_copy(file, message)) {
                hl_check_note(c, "%s %s: an editor's copy, perhaps: rm it", file, message);
                return;
        }
        if (!c->sees_as_services && hl_has_prefix(message, "cannot be read by"))
                check_readable(c, file); /* by the services: that we may not, says nothing */
        else
                hl_check_problem(c, "%s%s: %s%s%s", file, at, key, *key ? " " : "", message);
}

unsigned hl_check_total(const struct hl_check *c)
{
        unsigned sum = 0;
        for (size_t i = 0; i < CAUSE_COUNT; i++)
                sum += c->errors[i];
        return sum;
}

void hl_check_owned_by_root(struct hl_check *c, const char *path)
{
        struct stat status;
        if (stat(path, &status) < 0) {
                if (errno != ENOENT)
                        hl_check_problem(c, "%s: %s", path, strerror(errno));
        } else if (status.st_uid != 0 || (status.st_mode & 022)) {
                hl_check_problem(c,
                                 "%s: must belong to root and be writable by nobody else: chown root %s; chmod go-w %s",
                                 path, path, path);
        }
}

static void check_files(struct hl_check *c, struct hl_catalog *ret_catalog)
{
        struct hl_err err = { 0 };
        struct hl_tokens tokens = { 0 };
        unsigned before = hl_check_total(c);
        const struct hl_report report = { on_finding, c };

        c->cause = CAUSE_CONFIG;
        bool usable = hl_config_load(&report, &c->config, &err) == 0;
        if (hl_check_total(c) == before)
                hl_check_line("ok", "configuration (%s/config.json, or the defaults)", hl_configuration_dir());

        HL_CLEANUP(hl_free_pointer) char *tokens_path = hl_format("%s/tokens", hl_configuration_dir());
        if (!c->sees_as_services && access(tokens_path, R_OK) < 0 && errno == EACCES)
                hl_check_line("ok", "tokens: only root and the services may read them");
        else if (hl_tokens_load(&report, &tokens, &err) == 0)
                hl_check_line("ok", "%zu token%s", tokens.count, tokens.count == 1 ? "" : "s");
        hl_tokens_free(&tokens);
        if (!usable)
                return;

        before = hl_check_total(c);
        c->cause = CAUSE_MODELS;
        err = (struct hl_err){ 0 };
        if (hl_catalog_load(&c->config, NULL, &report, ret_catalog, &err) < 0)
                hl_check_problem(c, "%s", err.message);
        hl_check_models(c, ret_catalog);
        hl_check_capacity(c, ret_catalog);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "%zu model%s in %s", ret_catalog->count, ret_catalog->count == 1 ? "" : "s",
                              c->config.models_dir);
}

/* Root can read everything; what counts is what the services can. */
static void check_files_as_service(struct hl_check *c, struct hl_catalog *ret_catalog)
{
        c->sees_as_services = c->user && (geteuid() == 0 || geteuid() == c->user->pw_uid);
        bool become = geteuid() == 0 && c->user && setegid(c->user->pw_gid) == 0 && seteuid(c->user->pw_uid) == 0;
        check_files(c, ret_catalog);
        if (become && (seteuid(0) < 0 || setegid(0) < 0))
                abort();
}

bool hl_check_is_before_the_start(void)
{
        return getenv("JOURNAL_STREAM") != NULL;
}

/* Models are served without the folder, so a start goes on; it is made anew where somebody does as he is told. */
static void tell_missing_folder(struct hl_check *c, const char *path)
{
        enum hl_check_cause cause = c->cause;
        if (errno == ENOENT && hl_check_is_before_the_start())
                c->cause = CAUSE_MODELS;
        hl_check_problem(c,
                         "%s: %s: systemd-tmpfiles --create home-lab-services.conf && systemctl restart "
                         "home-lab-services",
                         path, strerror(errno));
        c->cause = cause;
}

/* A package brings this program to /usr/bin. */
const char *hl_check_again(void)
{
        char self[64] = "";
        if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && strncmp(self, "/usr/bin/", 9) == 0)
                return "install the packages again (apt install --reinstall ./…deb)";
        return "run \"make install\" again";
}

/* A folder below that of the state, which one user writes and nobody else. */
static void check_folder(struct hl_check *c, const char *name, const char *user_name)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", hl_state_dir(), name);
        const struct passwd *user = getpwnam(user_name);
        struct stat status;
        if (!user)
                hl_check_problem(c, "there is no user %s: %s", user_name, hl_check_again());
        else if (stat(path, &status) < 0)
                tell_missing_folder(c, path);
        else if (!S_ISDIR(status.st_mode) || status.st_uid != user->pw_uid || (status.st_mode & 022))
                hl_check_problem(c, "%s: must belong to %s and be writable by nobody else: chown %s %s; chmod go-w %s",
                                 path, user_name, user_name, path, path);
}

/* NGINX's master is root, and does what stands there. */
static void check_what_nginx_includes(struct hl_check *c)
{
        HL_CLEANUP(hl_free_pointer) char *upstreams = hl_format("%s/nginx/upstreams", hl_state_dir());
        if (!getpwnam(NGINX_USER))
                hl_check_problem(c, "there is no user " NGINX_USER ": %s", hl_check_again());
        check_folder(c, "nginx", "root");
        hl_check_owned_by_root(c, upstreams);
}

static void check_tokens_file(struct hl_check *c)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/tokens", hl_configuration_dir());
        const struct group *group = getgrnam(HL_CHECK_USER);
        struct stat status;
        if (stat(path, &status) < 0)
                return; /* optional */
        if (status.st_uid != 0 || (status.st_mode & 027) || !group || status.st_gid != group->gr_gid)
                hl_check_problem(c, "%s: must be root's, readable by group %s alone: chown root:%s %s; chmod 0640 %s",
                                 path, HL_CHECK_USER, HL_CHECK_USER, path, path);
}

static void check_permissions(struct hl_check *c)
{
        HL_CLEANUP(hl_free_pointer) char *config = hl_format("%s/config.json", hl_configuration_dir());
        unsigned before = hl_check_total(c);
        c->cause = CAUSE_PERMISSIONS;
        hl_check_owned_by_root(c, hl_configuration_dir());
        hl_check_owned_by_root(c, config);
        check_readable(c, config);
        check_tokens_file(c);
        hl_check_owned_by_root(c, hl_state_dir());
        check_folder(c, "activity", HL_CHECK_USER);
        check_what_nginx_includes(c);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "permissions and ownership");
}

int hl_check(void)
{
        struct hl_check c = { .bus = HL_BUS_INIT, .user = getpwnam(HL_CHECK_USER) };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        check_files_as_service(&c, &catalog);
        hl_check_commands(&c, &catalog);
        hl_check_template(&c);
        check_permissions(&c);
        hl_check_host(&c);

        unsigned errors = hl_check_total(&c);
        if (errors == 0 && c.notes > 0) {
                puts("No errors.");
        } else if (errors == 0) {
                puts("Everything is in order.");
                hl_log_status("Everything is in order.");
        } else {
                printf("%u error%s.\n", errors, errors == 1 ? "" : "s");
                hl_log_status("%u error%s: %s", errors, errors == 1 ? "" : "s", c.first);
        }
        hl_bus_free(&c.bus);
        hl_config_free(&c.config);
        for (size_t i = 0; i < CAUSE_COUNT; i++)
                if (c.errors[i])
                        return exit_statuses[i];
        return EX_OK;
}
