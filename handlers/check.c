#include "check.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "lab/bus.h"
#include "lab/catalog.h"
#include "lab/config.h"
#include "lab/inflight.h"
#include "lab/power.h"
#include "lab/tokens.h"
#include "lab/units.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define SERVICE_USER "home-lab-services"
#define NGINX_USER "home-lab-nginx"
#define NGINX_FILES "/etc/nginx/home-lab-services"
#define RULE "polkit-1/rules.d/60-home-lab-services.rules"

static const struct {
        const char *unit;
        uint16_t port; /* 0: a unix socket */
} sockets[] = {
        { "shutdown-service.socket", 5001 },
        { "inference-service.socket", 5002 },
        { "model-monitor-service.socket", 5003 },
        { "shutdown-service-fastcgi.socket", 0 },
        { "inference-service-fastcgi.socket", 0 },
        { "model-monitor-service-fastcgi.socket", 0 },
        { "model-router.socket", 0 },
        { "model-activity.socket", 0 },
};

/* Gravest first. */
enum cause { CAUSE_CONFIG, CAUSE_PERMISSIONS, CAUSE_PORTS, CAUSE_BUS, CAUSE_MODELS, CAUSE_COUNT };

static const int exit_statuses[CAUSE_COUNT] = { EX_CONFIG, EX_NOPERM, EX_TEMPFAIL, EX_UNAVAILABLE, EX_DATAERR };

struct check {
        unsigned notes;
        unsigned errors[CAUSE_COUNT];
        enum cause cause; /* of the part being checked */
        struct hl_config config;
        struct hl_bus bus;
        const struct passwd *user;
        char first[256]; /* the first error, for systemctl status */
};

static void line(const char *word, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Under systemd the prefix becomes the line's priority in the journal: sd-daemon(3). */
static void line(const char *word, const char *format, ...)
{
        va_list args;
        if (getenv("JOURNAL_STREAM"))
                printf("<%d>", strcmp(word, "error") == 0 ? LOG_ERR : LOG_INFO);
        printf("%s: ", word);
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
}

static void problem(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct check *c, const char *format, ...)
{
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        c->errors[c->cause]++;
        line("error", "%s", text);
        if (!*c->first)
                snprintf(c->first, sizeof(c->first), "%.255s", text);
}

static void on_finding(void *data, const char *file, unsigned number, const char *key, const char *message)
{
        char at[16] = "";
        if (number)
                snprintf(at, sizeof(at), ":%u", number);
        problem(data, "%s%s: %s%s%s", file, at, key, *key ? " " : "", message);
}

static unsigned total(const struct check *c)
{
        unsigned sum = 0;
        for (size_t i = 0; i < CAUSE_COUNT; i++)
                sum += c->errors[i];
        return sum;
}

/* Nobody but root may write what the services, or a model's unit, read and obey. */
static void check_owned_by_root(struct check *c, const char *path)
{
        struct stat status;
        if (stat(path, &status) < 0) {
                if (errno != ENOENT)
                        problem(c, "%s: %s", path, strerror(errno));
        } else if (status.st_uid != 0 || (status.st_mode & 022)) {
                problem(c, "%s: must belong to root and be writable by nobody else: chown root %s; chmod go-w %s", path,
                        path, path);
        }
}

static void check_model_files(struct check *c, const struct hl_catalog *catalog)
{
        c->cause = CAUSE_PERMISSIONS;
        check_owned_by_root(c, c->config.models_dir);
        for (size_t i = 0; i < catalog->count; i++)
                check_owned_by_root(c, catalog->models[i].file_path);

        c->cause = CAUSE_MODELS;
        for (size_t i = 0; i < catalog->count; i++) {
                for (size_t j = 0; j < HL_COUNT(sockets); j++)
                        if (catalog->models[i].port && catalog->models[i].port == sockets[j].port)
                                problem(c, "%s: PORT %u is that of %s: give the model another",
                                        catalog->models[i].file_path, catalog->models[i].port, sockets[j].unit);
                for (size_t j = 0; j < i; j++)
                        if (catalog->models[i].port && catalog->models[i].port == catalog->models[j].port)
                                problem(c, "%s: PORT %u is also %s's: give each model its own",
                                        catalog->models[i].file_path, catalog->models[i].port, catalog->models[j].name);
        }
}

static void check_files(struct check *c)
{
        struct hl_err err = { 0 };
        struct hl_tokens tokens = { 0 };
        struct hl_catalog catalog = { 0 };
        unsigned before = total(c);

        c->cause = CAUSE_CONFIG;
        bool usable = hl_config_load(NULL, on_finding, c, &c->config, &err) == 0;
        if (total(c) == before)
                line("ok", "configuration (%s/config.json, or the defaults)", hl_configuration_dir());

        HL_CLEANUP(hl_free_pointer) char *tokens_path = hl_format("%s/tokens", hl_configuration_dir());
        bool plain_user = geteuid() != 0 && !(c->user && geteuid() == c->user->pw_uid);
        if (plain_user && access(tokens_path, R_OK) < 0 && errno == EACCES)
                line("ok", "tokens: only root and the services may read them");
        else if (hl_tokens_load(on_finding, c, &tokens, &err) == 0)
                line("ok", "%zu token%s", tokens.count, tokens.count == 1 ? "" : "s");
        hl_tokens_free(&tokens);
        if (!usable)
                return;

        before = total(c);
        c->cause = CAUSE_MODELS;
        err = (struct hl_err){ 0 };
        if (hl_catalog_load(&c->config, NULL, on_finding, c, &catalog, &err) < 0)
                problem(c, "%s", err.message);
        check_model_files(c, &catalog);
        if (total(c) == before)
                line("ok", "%zu model%s in %s", catalog.count, catalog.count == 1 ? "" : "s", c->config.models_dir);
        hl_catalog_free(&catalog);
}

/* Root can read everything; what counts is what the services can. */
static void check_files_as_service(struct check *c)
{
        bool become = geteuid() == 0 && c->user && setegid(c->user->pw_gid) == 0 && seteuid(c->user->pw_uid) == 0;
        check_files(c);
        if (become && (seteuid(0) < 0 || setegid(0) < 0))
                abort();
}

/* A folder that a program of ours, and nobody else, writes. */
static void check_folder(struct check *c, const char *name, const char *user_name)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", hl_state_dir(), name);
        const struct passwd *user = getpwnam(user_name);
        struct stat status;
        if (!user)
                problem(c, "there is no user %s: run install-services.sh", user_name);
        else if (stat(path, &status) < 0)
                problem(c, "%s: %s: run install-services.sh", path, strerror(errno));
        else if (!S_ISDIR(status.st_mode) || status.st_uid != user->pw_uid || (status.st_mode & 022))
                problem(c, "%s: must belong to %s and be writable by nobody else: chown %s %s; chmod go-w %s", path,
                        user_name, user_name, path, path);
}

static void check_tokens_file(struct check *c)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/tokens", hl_configuration_dir());
        const struct group *group = getgrnam(SERVICE_USER);
        struct stat status;
        if (stat(path, &status) < 0)
                return; /* optional */
        if (status.st_uid != 0 || (status.st_mode & 027) || !group || status.st_gid != group->gr_gid)
                problem(c, "%s: must be root's, readable by group %s alone: chown root:%s %s; chmod 0640 %s", path,
                        SERVICE_USER, SERVICE_USER, path, path);
}

static void check_permissions(struct check *c)
{
        HL_CLEANUP(hl_free_pointer) char *config = hl_format("%s/config.json", hl_configuration_dir());
        unsigned before = total(c);
        c->cause = CAUSE_PERMISSIONS;
        check_owned_by_root(c, hl_configuration_dir());
        check_owned_by_root(c, config);
        check_tokens_file(c);
        check_owned_by_root(c, hl_state_dir());
        check_folder(c, "activity", SERVICE_USER);
        check_folder(c, "nginx", NGINX_USER);
        if (total(c) == before)
                line("ok", "permissions and ownership");
}

/* "nginx (pid 812)", where we may see it: only root sees other users' processes whole. */
static char *holder_of(uint32_t inode)
{
        HL_CLEANUP(hl_free_pointer) char *wanted = hl_format("socket:[%u]", inode);
        DIR *proc = opendir("/proc");
        const struct dirent *entry;
        char *found = NULL;
        while (proc && !found && (entry = readdir(proc))) {
                if (!isdigit((unsigned char)*entry->d_name))
                        continue;
                HL_CLEANUP(hl_free_pointer) char *folder = hl_format("/proc/%s/fd", entry->d_name);
                DIR *fds = opendir(folder);
                const struct dirent *fd;
                while (fds && !found && (fd = readdir(fds))) {
                        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, fd->d_name);
                        char target[64] = "", comm[32] = "";
                        if (readlink(path, target, sizeof(target) - 1) < 0 || strcmp(target, wanted) != 0)
                                continue;
                        HL_CLEANUP(hl_free_pointer) char *comm_path = hl_format("/proc/%s/comm", entry->d_name);
                        HL_CLEANUP(hl_close_file) FILE *file = fopen(comm_path, "re");
                        if (file && fgets(comm, sizeof(comm), file))
                                comm[strcspn(comm, "\n")] = '\0';
                        found = hl_format("%s (pid %s)", comm, entry->d_name);
                }
                if (fds)
                        closedir(fds);
        }
        if (proc)
                closedir(proc);
        return found;
}

static void check_port(struct check *c, uint16_t port, const char *socket, bool ours)
{
        struct hl_listener listener;
        struct hl_err err = { 0 };
        int r = hl_inflight_listener(port, &listener, &err);
        if (r < 0)
                problem(c, "port %u: %s", port, err.message);
        if (r <= 0 || (ours && listener.uid == 0))
                return;
        HL_CLEANUP(hl_free_pointer) char *holder = holder_of(listener.inode);
        const struct passwd *user = getpwuid(listener.uid);
        problem(c, "port %u is used by %s of user %s: stop it, or give %s another port (systemctl edit %s)", port,
                holder ? holder : "a program", user ? user->pw_name : "unknown", socket, socket);
}

static void check_bus_and_sockets(struct check *c)
{
        const char *units[HL_COUNT(sockets)];
        enum hl_unit_active states[HL_COUNT(sockets)] = { HL_UNIT_INACTIVE };
        struct hl_err err = { 0 };
        for (size_t i = 0; i < HL_COUNT(sockets); i++)
                units[i] = sockets[i].unit;
        c->cause = CAUSE_BUS;
        bool known = hl_units_states(&c->bus, units, HL_COUNT(units), states, &err) >= 0;
        if (known)
                line("ok", "system bus and systemd");
        else
                problem(c, "%s", err.message);

        unsigned before = total(c);
        c->cause = CAUSE_PORTS;
        /* Where systemd cannot be asked, a port that root holds is taken for ours. */
        for (size_t i = 0; i < HL_COUNT(sockets); i++) {
                if (states[i] == HL_UNIT_FAILED)
                        problem(c, "%s has failed, it is closed: systemctl status %s", units[i], units[i]);
                if (sockets[i].port)
                        check_port(c, sockets[i].port, units[i], !known || states[i] == HL_UNIT_ACTIVE);
        }
        if (total(c) == before)
                line("ok", "ports 5001, 5002, 5003, and the sockets for NGINX");
}

static int stat_rule(struct stat *ret_status, const char **ret_path)
{
        static const char *const paths[] = { "/etc/" RULE, "/usr/share/" RULE };
        int r = -ENOENT;
        for (size_t i = 0; i < HL_COUNT(paths); i++) {
                *ret_path = paths[i];
                if (stat(paths[i], ret_status) == 0)
                        return 0;
                if (errno != ENOENT)
                        r = -errno;
        }
        return r;
}

/* Polkit's folder is closed to us, so we ask for what the rule gives: where logind then says
 * "yes", the rule is in force. From polkit 124 on the rule also looks at the asking unit. */
static void check_rule_by_asking(struct check *c)
{
        struct hl_err err = { 0 };
        char word[32] = "";
        unsigned version = 0;
        int r = hl_bus_polkit_version(&c->bus, &version, &err);
        if (r < 0)
                problem(c, "polkit does not answer (%s): apt-get install polkitd", err.message);
        else if (version >= 124 || !c->user || getuid() != c->user->pw_uid)
                line("ok", "polkit answers; whether its rule is in place, only root can see");
        else if (hl_power_can(&c->bus, word, sizeof(word), &err) < 0 || strcmp(word, "yes") != 0)
                problem(c, "polkit's rule is not in force (logind says \"%s\"): run install-services.sh",
                        *word ? word : err.message);
        else
                line("ok", "polkit's rule is in force");
}

static void check_polkit(struct check *c)
{
        struct stat status;
        const char *path = NULL;
        c->cause = CAUSE_PERMISSIONS;
        int r = stat_rule(&status, &path);
        if (r == -EACCES)
                check_rule_by_asking(c);
        else if (r < 0)
                problem(c, "polkit's rule %s is missing: run install-services.sh", path);
        else if (status.st_uid != 0 || (status.st_mode & 0044) != 0044 || (status.st_mode & 022))
                problem(c, "%s: must be root's and readable by polkitd: chown root %s; chmod 0644 %s", path, path,
                        path);
        else
                line("ok", "polkit's rule %s", path);
}

/* The lab can do without NGINX, so whether it has our site is said, and no error. */
static void check_nginx(struct check *c)
{
        c->cause = CAUSE_PERMISSIONS;
        if (access(HL_CHECK_NGINX_SITE, F_OK) == 0) {
                unsigned before = total(c);
                check_owned_by_root(c, HL_CHECK_NGINX_SITE);
                if (access(NGINX_FILES "/server.conf", R_OK) < 0)
                        problem(c, "%s/server.conf: %s: run install-services.sh", NGINX_FILES, strerror(errno));
                else
                        check_owned_by_root(c, NGINX_FILES);
                if (total(c) == before)
                        line("ok", "NGINX's site %s", HL_CHECK_NGINX_SITE);
        } else if (access("/etc/nginx", F_OK) == 0) {
                line("ok", "NGINX: its site %s is not enabled", HL_CHECK_NGINX_SITE);
        } else {
                line("ok", "NGINX is not installed");
        }
}

/* What is stopped may be meant to be, so it is no error; but who asks why nothing answers must see it. The coordinator
 * asks before it starts all of this. */
static void note_what_is_stopped(struct check *c)
{
        enum { FOR_NGINX = 1, MAY_REST = 2 };
        static const struct {
                const char *unit, *meaning;
                int flags;
        } known[] = {
                { "home-lab-services.service", "nothing of the lab runs: systemctl start home-lab-services", 0 },
                { "shutdown-service.socket", "port 5001 is closed: systemctl start shutdown-service", 0 },
                { "inference-service.socket", "port 5002 is closed: systemctl start inference-service", 0 },
                { "model-monitor-service.socket", "port 5003 is closed: systemctl start model-monitor-service", 0 },
                { "model-idle-sweep.timer", "no idle model is stopped: systemctl start model-idle-sweep.timer", 0 },
                { "nginx.service", "port 8080 is closed: systemctl status nginx; nginx -t", FOR_NGINX },
                { "model-router.socket", "NGINX can start no model: systemctl start model-router.socket", FOR_NGINX },
                { "nginx-config-updater.path", "NGINX learns of no change: systemctl start nginx-config-updater.path",
                  FOR_NGINX },
                { "nginx-config-updater.service", "NGINX has no new locations: systemctl status nginx-config-updater",
                  FOR_NGINX | MAY_REST },
        };
        const char *units[HL_COUNT(known)];
        enum hl_unit_active states[HL_COUNT(known)];
        struct hl_err ignored = { 0 };
        bool with_nginx = access(HL_CHECK_NGINX_SITE, F_OK) == 0;
        for (size_t i = 0; i < HL_COUNT(known); i++)
                units[i] = known[i].unit;
        if (getenv("JOURNAL_STREAM") || hl_units_states(&c->bus, units, HL_COUNT(units), states, &ignored) < 0)
                return;
        for (size_t i = 0; i < HL_COUNT(known); i++) {
                bool failed = states[i] == HL_UNIT_FAILED;
                bool stopped = states[i] == HL_UNIT_INACTIVE && !(known[i].flags & MAY_REST);
                if ((failed || stopped) && (with_nginx || !(known[i].flags & FOR_NGINX))) {
                        line("note", "%s %s, %s", units[i], failed ? "has failed" : "is stopped", known[i].meaning);
                        c->notes++;
                }
        }
}

int hl_check(void)
{
        struct check c = { .bus = HL_BUS_INIT, .user = getpwnam(SERVICE_USER) };
        check_files_as_service(&c);
        check_permissions(&c);
        check_bus_and_sockets(&c);
        check_polkit(&c);
        check_nginx(&c);
        note_what_is_stopped(&c);

        unsigned errors = total(&c);
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
