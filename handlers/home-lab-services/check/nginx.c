/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "check.h"
#include "nginx/files.h"
#include "nginx/ports.h"
#include "parts.h"

#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NGINX_FILES "/etc/nginx/home-lab-services"
#define SERVER_CONF "home-lab-services/server.conf" /* as a site includes it */
#define SITE_AVAILABLE "/etc/nginx/sites-available/home-lab-services"
#define SITE_LINK "/etc/nginx/sites-enabled/home-lab-services"
#define SOCKETS "/run/home-lab-services/*.sock"
#define DUMP_MARK "# configuration file " /* `nginx -T` writes it before each file, and a colon behind the path */
#define GROUPS_MAX 256
#define RELOAD "nginx -t && systemctl reload nginx"

/* Where the installer puts a site that is in force: in the first of these that NGINX looks at. */
static const char *const places[] = {
        SITE_LINK,
        SITE_LINK ".conf",
        "/etc/nginx/vhosts.d/home-lab-services.conf",
        "/etc/nginx/conf.d/home-lab-services.conf",
        "/etc/nginx/http.d/home-lab-services.conf",
};

/* What the walk through NGINX's files finds. */
struct view {
        char *site;         /* the file that includes our server.conf; free() */
        const char *read;   /* one of `places` that is read */
        char *user, *group; /* of `user`; free() */
        bool reads_enabled; /* Debian's folder of enabled sites */
        bool has_limit;     /* client_max_body_size, outside of our own files */
        bool guarded;       /* the site asks who comes, by NGINX's own means */
};

static const char *find_site(void)
{
        for (size_t i = 0; i < HL_COUNT(places); i++)
                if (access(places[i], F_OK) == 0)
                        return places[i];
        return NULL;
}

bool hl_check_has_nginx_site(void)
{
        return find_site() != NULL;
}

static bool ends_with(const char *text, const char *end)
{
        size_t len = strlen(text), end_len = strlen(end);
        return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void set(char **text, const char *value)
{
        free(*text);
        *text = hl_strdup(value);
}

static bool asks_who_comes(const struct hl_nginx_directive *d)
{
        static const char *const names[] = { "auth_basic", "auth_request", "deny", "ssl_verify_client" };
        for (size_t i = 0; i < HL_COUNT(names); i++)
                if (strcmp(d->words[0], names[i]) == 0)
                        return strcmp(d->words[1], "off") != 0;
        return false;
}

static void look(void *data, const struct hl_nginx_directive *d)
{
        struct view *view = data;
        for (size_t i = 0; i < HL_COUNT(places); i++)
                if (strcmp(d->file, places[i]) == 0)
                        view->read = places[i];
        if (d->count < 2)
                return;
        if (strcmp(d->words[0], "include") == 0 && ends_with(d->words[1], SERVER_CONF))
                set(&view->site, d->file);
        if (strcmp(d->words[0], "include") == 0 && strstr(d->words[1], "sites-enabled/"))
                view->reads_enabled = true;
        if (strcmp(d->words[0], "client_max_body_size") == 0 && !hl_has_prefix(d->file, NGINX_FILES "/"))
                view->has_limit = true;
        if (strcmp(d->words[0], "user") == 0 && !view->user) {
                set(&view->user, d->words[1]);
                set(&view->group, d->count > 2 ? d->words[2] : NULL);
        }
}

/* In the site's own file alone: others have their own. */
static void look_at_site(void *data, const struct hl_nginx_directive *d)
{
        struct view *view = data;
        if (d->count > 1 && strcmp(d->file, view->site) == 0)
                view->guarded |= asks_who_comes(d);
}

static void view_free(struct view *view)
{
        free(view->site);
        free(view->user);
        free(view->group);
}

/* What NGINX says, on both of its outputs. */
static int ask_nginx(const char *command, struct hl_buf *said)
{
        FILE *pipe = popen(command, "re");
        if (!pipe)
                return -errno;
        char bytes[4096];
        for (size_t n; (n = fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
                hl_buf_add(said, bytes, n);
        return pclose(pipe) == 0 ? 0 : -EINVAL;
}

/* "nginx: [emerg] unknown directive …" and "2026/11/25 10:00:00 [emerg] 12#12: bind() …": the sentence. */
static char *first_error(const char *said)
{
        static const char mark[] = "[emerg] ";
        const char *at = said ? strstr(said, mark) : NULL;
        if (!at)
                return hl_strdup("nginx -t says why");
        at += strlen(mark);
        size_t number = strspn(at, "0123456789#");
        if (number > 0 && at[number] == ':')
                at += number + strspn(at + number, ": ");
        return hl_strndup(at, strcspn(at, "\n"));
}

/* Where NGINX's main file is, as the dump says. */
static char *main_file(const char *dump)
{
        const char *at = strstr(dump, DUMP_MARK);
        if (!at)
                return NULL;
        at += strlen(DUMP_MARK);
        size_t len = strcspn(at, "\n");
        return len > 1 ? hl_strndup(at, len - 1) : NULL;
}

/* A copy of the site's file says everything of http.conf twice. */
static bool is_said_twice(const char *error)
{
        return strstr(error, "duplicate") && (strstr(error, NGINX_FILES) || strstr(error, hl_state_dir()));
}

static void say_what_is_not_valid(struct hl_check *c, const char *said)
{
        HL_CLEANUP(hl_free_pointer) char *error = first_error(said);
        const char *why = is_said_twice(error) ? " (\"include home-lab-services/http.conf;\" stands once, however many "
                                                 "servers there are)"
                                               : "";
        hl_check_problem(c, "NGINX's configuration is not valid, it takes nothing new: %s%s: mend it, then: " RELOAD,
                         error, why);
}

/* Only root can have NGINX try its files: it opens the logs. */
static void view_nginx(struct hl_check *c, struct view *view)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf said = { 0 };
        HL_CLEANUP(hl_free_pointer) char *conf = NULL;
        if (geteuid() == 0 && access(HL_NGINX_PROGRAM, X_OK) == 0) {
                if (ask_nginx("exec " HL_NGINX_PROGRAM " -T 2>&1", &said) == 0)
                        conf = main_file(said.data);
                else
                        say_what_is_not_valid(c, said.data);
        }
        hl_nginx_files_walk(conf ? conf : HL_NGINX_CONF, look, view);
        if (view->site)
                hl_nginx_files_walk(conf ? conf : HL_NGINX_CONF, look_at_site, view);
        if (conf && view->site && !strstr(said.data, SERVER_CONF ":\n"))
                set(&view->site, NULL);
}

/* The user that NGINX was built with, where its files name none. */
static char *default_user(void)
{
        static const char option[] = "--user=";
        HL_CLEANUP(hl_buf_free) struct hl_buf said = { 0 };
        const char *at = ask_nginx("exec " HL_NGINX_PROGRAM " -V 2>&1", &said) == 0 ? strstr(said.data, option) : NULL;
        return at ? hl_strndup(at + strlen(option), strcspn(at + strlen(option), " \n'")) : hl_strdup("nobody");
}

static bool may_open(const struct stat *socket, const struct passwd *user, const struct group *group)
{
        gid_t groups[GROUPS_MAX];
        int count = GROUPS_MAX;
        if (user->pw_uid == 0 || (user->pw_uid == socket->st_uid && (socket->st_mode & 0200)) ||
            (socket->st_mode & 0002))
                return true;
        if (getgrouplist(user->pw_name, group ? group->gr_gid : user->pw_gid, groups, &count) < 0)
                return true; /* more than anybody has: not known */
        for (int i = 0; i < count; i++)
                if (groups[i] == socket->st_gid)
                        return socket->st_mode & 0020;
        return false;
}

static void check_sockets(struct hl_check *c, struct view *view)
{
        glob_t sockets;
        if (!view->user)
                view->user = default_user();
        const struct passwd *user = getpwnam(view->user);
        const struct group *group = view->group ? getgrnam(view->group) : NULL;
        if (!user || glob(SOCKETS, 0, NULL, &sockets) != 0)
                return; /* NGINX says the former, and what is closed is said elsewhere */
        for (size_t i = 0; i < sockets.gl_pathc; i++) {
                struct stat status;
                if (stat(sockets.gl_pathv[i], &status) < 0 || may_open(&status, user, group))
                        continue;
                const struct group *owner = getgrgid(status.st_gid);
                hl_check_problem(c,
                                 "%s: NGINX's user %s may not open it, it is group %s's: %s, "
                                 "which takes the group from NGINX's configuration",
                                 sockets.gl_pathv[i], view->user, owner ? owner->gr_name : "unknown", hl_check_again());
                break; /* the others are the same */
        }
        globfree(&sockets);
}

/* Models ask nobody for a password. */
static void note_open_models(struct hl_check *c, const struct view *view)
{
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
        if (c->errors[CAUSE_CONFIG] > 0) /* then it is not known, and nobody gets in */
                return;
        hl_nginx_ports_read(&ports);
        for (size_t i = 0; i < ports.count && !c->config.models_need_token && !view->guarded; i++) {
                const struct hl_nginx_listen *listen = &ports.items[i];
                if (strcmp(listen->file, view->site) != 0 || !hl_nginx_listen_open(listen->address))
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *text = hl_format("models are open to your network without a key (\"listen %s\", %s:%u): "
                                       "home-lab-services token add NAME --scope use; then \"auth\": {\"models\": "
                                       "\"token\"} in %s/config.json",
                                       listen->address, listen->file, listen->line, hl_configuration_dir());
                hl_check_note(c, "%s", text);
                return;
        }
}

static void check_site(struct hl_check *c, struct view *view)
{
        unsigned before = hl_check_total(c);
        c->cause = CAUSE_PERMISSIONS;
        hl_check_owned_by_root(c, view->site);
        if (access(NGINX_FILES "/server.conf", R_OK) < 0)
                hl_check_problem(c, "%s/server.conf: %s: %s", NGINX_FILES, strerror(errno), hl_check_again());
        else
                hl_check_owned_by_root(c, NGINX_FILES);
        c->cause = CAUSE_NGINX;
        check_sockets(c, view);
        if (!view->has_limit) {
                HL_CLEANUP(hl_free_pointer)
                char *text = hl_format("%s: bodies are at most 1 MB long, as NGINX has it by itself: add "
                                       "\"client_max_body_size 64m;\" to its server { }, then: " RELOAD,
                                       view->site);
                hl_check_note(c, "%s", text);
        }
        note_open_models(c, view);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "NGINX's site %s%s", view->site,
                              geteuid() == 0 ? "" : "; whether NGINX takes its configuration, only root can see");
}

/* It may be meant to be so: an installation enables its site once. */
static void say_where_the_site_is_not(struct hl_check *c, const struct view *view)
{
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        if (view->read) {
                hl_check_problem(c,
                                 "%s: without \"include " SERVER_CONF
                                 ";\" nothing of the lab is in it: add that to its "
                                 "server { }, then: " RELOAD,
                                 view->read);
                return;
        }
        if (access(SITE_AVAILABLE, F_OK) == 0 && view->reads_enabled)
                text = hl_strdup("NGINX does not read its site, " SITE_AVAILABLE
                                 " is not enabled: ln -sf " SITE_AVAILABLE " " SITE_LINK " && " RELOAD);
        else if (access(SITE_AVAILABLE, F_OK) == 0 || hl_check_has_nginx_site())
                text = hl_format("NGINX does not read its site, it is not enabled where this NGINX looks: %s, which "
                                 "puts it there",
                                 hl_check_again());
        else
                text = hl_format("NGINX has no site of the lab, it is not enabled: %s", hl_check_again());
        hl_check_note(c, "%s", text);
}

/* The lab can do without NGINX, so the coordinator does not wait for it. */
void hl_check_nginx(struct hl_check *c)
{
        HL_CLEANUP(view_free) struct view view = { 0 };
        if (access("/etc/nginx", F_OK) < 0) {
                hl_check_line("ok", "NGINX is not installed");
                return;
        }
        c->cause = CAUSE_NGINX;
        view_nginx(c, &view);
        if (view.site)
                check_site(c, &view);
        else
                say_where_the_site_is_not(c, &view);
}
