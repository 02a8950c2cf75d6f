/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include "base/io.h"
#include "base/mem.h"
#include "nginx/files.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NGINX_FILES "/etc/nginx/home-lab-services"

extern char **environ;

bool hl_nginx_is_here(void)
{
        return access(HL_NGINX_PROGRAM, X_OK) == 0 && access(NGINX_FILES, F_OK) == 0;
}

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
        char *text =
                hl_format("%spid %s/pid;\n"
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
                          /* Root's NGINX would give its folders away, for which ours has not the right. */
                          geteuid() == 0 ? "user root;\n" : "", folder, folder, folder, folder, folder, folder, folder);
        /* NGINX looks for includes beside the file that it was given. */
        if (symlink(NGINX_FILES, link) < 0)
                return -errno;
        int r = hl_replace_file(models, locations->data, locations->len, 0600, (gid_t)-1);
        return r < 0 ? r : hl_replace_file(file, text, strlen(text), 0600, (gid_t)-1);
}

int hl_nginx_try(const struct hl_buf *locations, struct hl_err *err)
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
