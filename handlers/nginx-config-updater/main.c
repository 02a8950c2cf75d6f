/* SPDX-License-Identifier: MIT */
/* nginx-config-updater - makes NGINX's locations from this host's models, and has NGINX take them up. One run; nothing
 * is done where nothing has changed.
 *
 * NGINX keeps what it has until it is sure of the new: the locations are tried with `nginx -t` in a configuration that
 * holds nothing else, put in place, and taken back should NGINX, with all that it has besides, refuse to reload.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/version.h"
#include "conf.h"
#include "nginx-config-updater/cluster/publish.h"
#include "nginx/files.h"
#include "nginx/ports.h"
#include "password.h"
#include "systemd/jobs.h"
#include "systemd/units.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NGINX_FILES "/etc/nginx/home-lab-services"
#define OUTPUT_SIZE_MAX (64 * 1024 * 1024) /* bytes */
#define START_LOOK_US (50 * HL_USEC_PER_MSEC)
#define RELOAD_TIMEOUT_US (30 * HL_USEC_PER_SEC)

extern char **environ;

static void tell(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        (void)data;
        HL_CLEANUP(hl_free_pointer) char *where = line ? hl_format("%s:%u", file, line) : hl_strdup(file);
        hl_log(LOG_WARNING, NULL, "%s: %s%s%s", where, key, *key ? " " : "", message);
}

static const struct hl_report to_journal = { .fn = tell };

/* ---- `nginx -t` on the locations alone ---- */

/* What NGINX says comes by the pipe that is its standard error. */
static int run_nginx(const char *file, struct hl_buf *said)
{
        int pipe_fds[2];
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
        const char *const arguments[] = { "nginx", "-q", "-t", "-e", "stderr", "-c", file, NULL };
        pid_t pid;
        int r = -posix_spawn(&pid, HL_NGINX_PROGRAM, &actions, NULL, (char *const *)(uintptr_t)arguments, environ),
            status = 0;
        posix_spawn_file_actions_destroy(&actions);
        close(pipe_fds[1]);
        if (r == 0) {
                char bytes[1024];
                for (ssize_t n; (n = read(pipe_fds[0], bytes, sizeof(bytes))) > 0;)
                        hl_buf_add(said, bytes, (size_t)n);
                waitpid(pid, &status, 0);
        }
        close(pipe_fds[0]);
        return r < 0 ? r : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

/* Everything that a test leaves behind, NGINX's own folders too. */
static void clear(const char *folder)
{
        static const char *const names[] = { "nginx.conf", "models.conf", "home-lab-services",
                                             "pid",        "body",        "proxy",
                                             "fastcgi",    "uwsgi",       "scgi" };
        for (size_t i = 0; i < HL_COUNT(names); i++) {
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, names[i]);
                remove(path);
        }
        rmdir(folder);
}

static int write_test(const char *folder, const struct hl_buf *locations)
{
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/nginx.conf", folder);
        HL_CLEANUP(hl_free_pointer) char *models = hl_format("%s/models.conf", folder);
        HL_CLEANUP(hl_free_pointer) char *link = hl_format("%s/home-lab-services", folder);
        HL_CLEANUP(hl_free_pointer)
        char *text = hl_format("pid %s/pid;\n"
                               "events {}\n"
                               "http {\n"
                               "    client_body_temp_path %s/body;\n"
                               "    proxy_temp_path %s/proxy;\n"
                               "    fastcgi_temp_path %s/fastcgi;\n"
                               "    uwsgi_temp_path %s/uwsgi;\n"
                               "    scgi_temp_path %s/scgi;\n"
                               "    include home-lab-services/http.conf;\n"
                               "    server {\n"
                               "        listen unix:%s/socket;\n"
                               "        access_log off;\n"
                               "        set $hl_model \"\";\n"
                               "        include models.conf;\n"
                               "    }\n"
                               "}\n",
                               folder, folder, folder, folder, folder, folder, folder);
        /* NGINX looks for includes beside the file that it was given. */
        if (symlink(NGINX_FILES, link) < 0)
                return -errno;
        int r = hl_replace_file(models, locations->data, locations->len, 0600, (gid_t)-1);
        return r < 0 ? r : hl_replace_file(file, text, strlen(text), 0600, (gid_t)-1);
}

static int test(const struct hl_buf *locations, struct hl_err *err)
{
        char folder[] = "/tmp/nginx-config-updater-XXXXXX";
        if (!mkdtemp(folder))
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", folder);
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/nginx.conf", folder);
        struct hl_buf said = { 0 };
        int r = write_test(folder, locations);
        if (r < 0)
                hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", folder, strerror(-r));
        else if ((r = run_nginx(file, &said)) < 0)
                hl_fail(err, HL_ERR_INTERNAL, -r, "nginx_refuses",
                        "NGINX refuses the new locations, the old ones stay: %s",
                        said.len > 0 ? said.data : strerror(-r));
        hl_buf_free(&said);
        clear(folder);
        return r;
}

/* ---- the file, and NGINX's reload ---- */

/* text NULL: no file. */
static int put(const char *path, const char *text, size_t len, struct hl_err *err)
{
        int r = text ? hl_replace_file(path, text, len, 0644, (gid_t)-1) : unlink(path) < 0 ? -errno : 0;
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r)) : 0;
}

static int reload(struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        const struct hl_wait wait = hl_wait_until(hl_clock_monotonic() + RELOAD_TIMEOUT_US);
        enum hl_unit_state active;
        int r;
        /* One that is starting may have read what was there before. One that will start reads what is there then. */
        while ((r = hl_unit_state_of(&bus, HL_NGINX_UNIT, &active, err)) == 0 && active == HL_UNIT_STARTING) {
                if (hl_clock_monotonic() >= wait.deadline_us)
                        return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "nginx_starting",
                                       "NGINX does not finish starting");
                hl_sleep_or_hangup(-1, START_LOOK_US);
        }
        if (r < 0 || active != HL_UNIT_ACTIVE)
                return r;
        return hl_jobs_run(&bus, HL_JOB_RELOAD, HL_NGINX_UNIT, &wait, err);
}

/* What there is to be written: the server's locations, and the upstreams that they need. */
struct texts {
        struct hl_buf locations, upstreams;
        size_t models;
};

static void free_texts(struct texts *texts)
{
        hl_buf_free(&texts->locations);
        hl_buf_free(&texts->upstreams);
}

/* Until NGINX has taken up what is in the file, a mark stands beside it: the run after one that was killed in between
 * finds nothing new but that. was_pending: it stands there already. */
static int publish(const char *path, const char *mark, bool was_pending, bool have_nginx, const struct hl_buf *old,
                   const struct hl_buf *text, struct hl_err *err)
{
        int r = have_nginx ? test(text, err) : 0;
        if (r == 0)
                r = put(mark, "", 0, err);
        if (r == 0)
                r = put(path, text->data, text->len, err);
        if (r < 0)
                return r;
        r = have_nginx ? reload(err) : 0;
        if (r == 0)
                return put(mark, NULL, 0, err);
        struct hl_err put_err = { 0 };
        if (put(path, old->data, old->len, &put_err) < 0)
                hl_log(LOG_ERR, NULL, "the old locations cannot be put back: %s", put_err.message);
        else if (!was_pending) /* else NGINX has not got the old ones either */
                put(mark, NULL, 0, err);
        return r;
}

/* A model on a port of NGINX's own gets no location: each request would come back to NGINX, and go there again. */
static void leave_nginx_its_ports(struct hl_catalog *catalog, const struct hl_report *report, struct hl_buf *notes)
{
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
        hl_nginx_ports_read(&ports);
        for (size_t i = 0; i < catalog->count; i++) {
                struct hl_model *model = &catalog->models[i];
                const struct hl_nginx_listen *listen = hl_nginx_ports_find(&ports, model->port);
                if (!listen)
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *message = hl_format("%u is NGINX's (\"listen %s\", %s:%u): the model gets no location, give it "
                                          "another",
                                          model->port, listen->address, listen->file, listen->line);
                hl_report_tell(report, model->file_path, 0, "PORT", message);
                hl_buf_addf(notes, "\n# %s\n# PORT %u is NGINX's own: the model cannot be reached here.\n", model->name,
                            model->port);
                model->port = 0;
        }
}

/* Appends to texts. */
static int make(const struct hl_config *config, const struct hl_report *report, struct texts *texts, struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        int r = hl_catalog_load(config, NULL, report, &catalog, err);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_buf_free) struct hl_buf notes = { 0 };
        leave_nginx_its_ports(&catalog, report, &notes);
        hl_nginx_conf(config, &catalog, hl_nginx_asks_password(HL_NGINX_CONF), &texts->locations);
        hl_buf_add(&texts->locations, notes.data, notes.len);
        hl_nginx_upstreams(config, &catalog, &texts->upstreams);
        texts->models = catalog.count;
        return 0;
}

static int read_old(const char *path, struct hl_buf *old, struct hl_err *err)
{
        int r = hl_read_file(AT_FDCWD, path, OUTPUT_SIZE_MAX, old);
        return r < 0 && r != -ENOENT ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r))
                                     : 0;
}

static bool is_same(const struct hl_buf *a, const struct hl_buf *b)
{
        return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* NGINX may read the one file and the other at any time, so at no time the locations name an upstream that is not
 * there. */
static int put_upstreams(const char *path, const struct hl_buf *text, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *folder = hl_strndup(path, (size_t)(strrchr(path, '/') - path));
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", folder);
        return put(path, text->data, text->len, err);
}

/* 1: something was new; 0: nothing was. */
static int update_with(const struct hl_config *config, const char *upstreams, struct texts *texts, struct hl_err *err)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf old = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf old_upstreams = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf both = { 0 };
        const char *path = config->nginx_output;
        HL_CLEANUP(hl_free_pointer) char *mark = hl_format("%s.pending", path);
        if (make(config, NULL, texts, err) < 0 || read_old(path, &old, err) < 0 ||
            read_old(upstreams, &old_upstreams, err) < 0)
                return -err->errnum;
        bool is_new = !is_same(&old, &texts->locations), was_pending = access(mark, F_OK) == 0;
        if (!is_new && !was_pending && hl_nginx_upstreams_cover(&old_upstreams, &texts->upstreams))
                return is_same(&old_upstreams, &texts->upstreams)             ? 0
                       : put_upstreams(upstreams, &texts->upstreams, err) < 0 ? -err->errnum
                                                                              : 1; /* it took its time: look again */
        if (is_new) { /* once more, to tell what is wrong with the files: not at every run */
                free_texts(texts);
                int r = make(config, &to_journal, texts, err);
                if (r < 0)
                        return r;
        }
        hl_buf_add(&both, texts->upstreams.data, texts->upstreams.len);
        hl_nginx_upstreams_keep(&old_upstreams, &both);
        int r = put_upstreams(upstreams, &both, err);
        bool have_nginx = access(HL_NGINX_PROGRAM, X_OK) == 0 && access(NGINX_FILES, F_OK) == 0;
        if (r == 0)
                r = publish(path, mark, was_pending, have_nginx, &old, &texts->locations, err);
        if (r < 0)
                return r;
        hl_log(LOG_NOTICE, NULL, "%s has the locations of %zu model%s%s", path, texts->models,
               texts->models == 1 ? "" : "s", have_nginx ? "" : "; there is no NGINX on this host to use them");
        return 1;
}

static int update(const struct hl_config *config, struct hl_err *err)
{
        HL_CLEANUP(free_texts) struct texts texts = { 0 };
        HL_CLEANUP(hl_free_pointer) char *upstreams = hl_format("%s/nginx/upstreams/models.conf", hl_state_dir());
        return update_with(config, upstreams, &texts, err);
}

enum print { PRINT_NOTHING, PRINT_LOCATIONS, PRINT_UPSTREAMS };

static int print(const struct hl_config *config, enum print what, struct hl_err *err)
{
        HL_CLEANUP(free_texts) struct texts texts = { 0 };
        int r = make(config, &to_journal, &texts, err);
        if (r == 0)
                fputs(what == PRINT_UPSTREAMS ? texts.upstreams.data : texts.locations.data, stdout);
        return r;
}

/* One look at the configuration and the models. *ret_changed is true where NGINX has got something new. */
static int look(enum print what, bool *ret_changed)
{
        struct hl_config config;
        struct hl_err err = { 0 };
        int r = hl_config_load(&to_journal, &config, &err);
        if (r < 0) {
                hl_log(LOG_ERR, NULL, "%s", err.message);
                return hl_exit_status(err.kind);
        }
        r = what ? print(&config, what, &err) : update(&config, &err);
        hl_config_free(&config);
        if (r < 0)
                hl_log(LOG_ERR, NULL, "%s", err.message);
        *ret_changed = r > 0;
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Files seldom change alone: the last look is at what has not changed for a moment. What changes after it starts
 * another run: nginx-config-updater-changed.target. */
static int run(enum print what)
{
        static const struct timespec moment = { .tv_nsec = 300 * 1000 * 1000 };
        bool changed = false;
        int status = look(what, &changed);
        for (bool again = !what; again && status == EXIT_SUCCESS; again = changed) {
                nanosleep(&moment, NULL);
                status = look(PRINT_NOTHING, &changed);
        }
        return status;
}

static void usage(FILE *to)
{
        fputs("Usage: nginx-config-updater [--print | --print-upstreams]\n"
              "\n"
              "Makes NGINX's locations from the models of this host, and reloads NGINX where they have changed.\n"
              "\n"
              "  --print               only prints them\n"
              "  --print-upstreams     prints the upstreams that they need\n"
              "  --kubernetes          the models of several hosts, for an NGINX in a cluster: --kubernetes --help\n"
              "  --help                this\n",
              to);
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        static const struct option options[] = { { "print", no_argument, NULL, 'p' },
                                                 { "print-upstreams", no_argument, NULL, 'u' },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { 0 } };
        enum print what = PRINT_NOTHING;
        if (argc > 1 && strcmp(argv[1], "--kubernetes") == 0)
                return hl_kubernetes_main(argc - 1, argv + 1);
        hl_keep_private();
        hl_log_open("nginx-config-updater");
        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
                if (option == 'h')
                        usage(stdout);
                else if (option != 'p' && option != 'u')
                        usage(stderr);
                if (option != 'p' && option != 'u')
                        return option == 'h' ? EX_OK : EX_USAGE;
                what = option == 'u' ? PRINT_UPSTREAMS : PRINT_LOCATIONS;
        }
        if (optind < argc) {
                usage(stderr);
                return EX_USAGE;
        }
        return run(what);
}
