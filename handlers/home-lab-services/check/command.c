/* SPDX-License-Identifier: MIT */
/* The part of check.c that tries COMMAND of each model as a start would: as the model's user, where root asks. */
#include "config/command.h"
#include "base/buf.h"
#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/access.h"
#include "config/command_place.h"
#include "config/names.h"
#include "parts.h"
#include "unit_run.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* As systemd gives it to units. */
#define UNIT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- the environment that COMMAND would have ---- */

struct variables {
        struct hl_buf text; /* NAME\0VALUE\0 …; the last of a name counts */
};

static void keep(void *data, unsigned line, const char *name, const char *value)
{
        struct variables *v = data;
        (void)line;
        hl_buf_add(&v->text, name, strlen(name) + 1);
        hl_buf_add(&v->text, value, strlen(value) + 1);
}

static const char *value_of(void *data, const char *name)
{
        const struct variables *v = data;
        const char *found = NULL, *at = v->text.data, *end = at ? at + v->text.len : NULL;
        while (at < end) {
                const char *value = at + strlen(at) + 1;
                if (strcmp(at, name) == 0)
                        found = value;
                at = value + strlen(value) + 1;
        }
        return found;
}

/* One model's COMMAND, being tried. Findings are lines on `out`. */
struct trial {
        const struct hl_model *model;
        struct hl_unit_run run;
        struct variables variables;
        bool knows_all;      /* all files of variables could be read */
        bool as_user;        /* this process is the model's user */
        bool says_port;      /* COMMAND does say PORT's number */
        char other_port[32]; /* the first other port that it says, or "" */
        FILE *out;
};

static void tell(const struct trial *t, const char *format, const char *a, const char *b)
{
        char text[1024];
        const char *first = strchr(format, '\1'), *second = first ? strchr(first + 1, '\2') : NULL;
        if (!first)
                snprintf(text, sizeof(text), "%s", format);
        else if (!second)
                snprintf(text, sizeof(text), "%.*s%s%s", (int)(first - format), format, a, first + 1);
        else
                snprintf(text, sizeof(text), "%.*s%s%.*s%s%s", (int)(first - format), format, a,
                         (int)(second - first - 1), first + 1, b, second + 1);
        for (char *c = text; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        hl_make_printable(text);
        fprintf(t->out, "%s\n", text);
}

/* ---- ports and addresses ---- */

/* The value of --NAME VALUE or --NAME=VALUE at the word i, or NULL. */
static const char *option_value(const struct hl_command *command, size_t i, const char *name)
{
        const char *word = command->words[i].text;
        size_t len = strlen(name);
        if (strncmp(word, name, len) != 0 || !command->words[i].is_known)
                return NULL;
        if (word[len] == '=')
                return word + len + 1;
        return !word[len] && i + 1 < command->count && command->words[i + 1].is_known ? command->words[i + 1].text
                                                                                      : NULL;
}

/* A program may have more ports than one, such as one for its page: then one of them must be PORT. */
static void note_port(struct trial *t, const char *value)
{
        uint64_t port;
        bool is_port = hl_parse_uint(value, UINT16_MAX, &port) == 0;
        t->says_port |= is_port && port == t->model->port;
        if (!*t->other_port && (is_port ? port > 0 && port != t->model->port : strstr(value, "PORT") != NULL))
                snprintf(t->other_port, sizeof(t->other_port), "%s", value);
}

static void try_port(const struct trial *t)
{
        char own[8];
        snprintf(own, sizeof(own), "%u", t->model->port);
        if (t->model->port && *t->other_port && !t->says_port)
                tell(t, "COMMAND says port \1, and PORT is \2: write --port $PORT in COMMAND", t->other_port, own);
}

/* "8299:8080" or "127.0.0.1:8299:8080": the host's one. */
static void note_published(struct trial *t, const char *value)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strdup(value);
        char *inner = strrchr(text, ':');
        if (!inner)
                return;
        *inner = '\0';
        char *outer = strrchr(text, ':');
        note_port(t, outer ? outer + 1 : text);
}

static void try_host(const struct trial *t, const char *value)
{
        static const char *const good[] = { "127.0.0.1", "0.0.0.0", "localhost", "::", "[::]", "*", "" };
        for (size_t i = 0; i < HL_COUNT(good); i++)
                if (strcmp(value, good[i]) == 0)
                        return;
        if (*value != '/') /* a socket's path */
                tell(t, "COMMAND says --host \1, and the model is asked at 127.0.0.1: write --host 127.0.0.1", value,
                     "");
}

static bool is_container(const char *program)
{
        const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
        return strcmp(name, "docker") == 0 || strcmp(name, "podman") == 0;
}

static void try_listening(struct trial *t, const struct hl_command *command, size_t i, bool container)
{
        const char *published = option_value(command, i, "-p"), *port = option_value(command, i, "--port");
        const char *host = option_value(command, i, "--host");
        if (container) {
                if (!published)
                        published = option_value(command, i, "--publish");
                if (published)
                        note_published(t, published);
                return;
        }
        if (port || published)
                note_port(t, port ? port : published);
        if (host)
                try_host(t, host);
}

/* ---- files ---- */

/* An option whose file need not be there: it is written, or is no file of this host's. */
static bool names_no_file(const char *option)
{
        static const char *const words[] = {
                "log",    "save",      "cache",     "out",   "download", "pid",  "sock",
                "uds",    "lock-file", "hf",        "repo",  "alias",    "name", "scale",
                "prefix", "url",       "root-path", "route", "temp-dir", "tmp",  "user-dir"
        };
        for (size_t i = 0; *option == '-' && i < HL_COUNT(words); i++)
                if (strstr(option, words[i]))
                        return true;
        return false;
}

static bool is_weights(const char *path)
{
        static const char *const endings[] = { ".gguf", ".safetensors", ".onnx", ".ggml", ".bin", ".jinja" };
        for (size_t i = 0; i < HL_COUNT(endings); i++) {
                size_t len = strlen(path), end = strlen(endings[i]);
                if (len > end && strcmp(path + len - end, endings[i]) == 0)
                        return true;
        }
        return false;
}

/* Whether the first folder of a path is one: else it may be the path of a URL. */
static bool is_on_disk(const char *path)
{
        HL_CLEANUP(hl_free_pointer) char *first = hl_strndup(path, 1 + strcspn(path + 1, "/"));
        struct stat status;
        return path[strlen(first)] == '/' && stat(first, &status) == 0 && S_ISDIR(status.st_mode);
}

static void try_path(const struct trial *t, const char *text, bool is_pattern)
{
        if (hl_has_prefix(text, "~/") && is_weights(text)) { /* a shell has left it */
                tell(t, "COMMAND says \1, and ~ is no home in quotes or behind a =: write $HOME/\2", text, text + 2);
                return;
        }
        bool relative = *text != '/';
        if (relative ? !is_weights(text) || strchr(text, ':') || strchr(text, ' ')
                     : !is_weights(text) && !is_on_disk(text))
                return;
        HL_CLEANUP(hl_free_pointer)
        char *path = relative ? hl_format("%s/%s", t->run.directory, text) : hl_strdup(text);
        const char *home = value_of((void *)(uintptr_t)&t->variables, "HOME");
        glob_t found = { 0 };
        if (is_pattern) {
                if (glob(path, 0, NULL, &found) != 0)
                        tell(t, "COMMAND names \1, and no file matches it", path, "");
                globfree(&found);
                return;
        }
        if (t->run.private_tmp && (hl_has_prefix(path, "/tmp/") || hl_has_prefix(path, "/var/tmp/"))) {
                tell(t, "COMMAND names \1, and a model has a /tmp of its own: move it to /srv", path, "");
                return;
        }
        HL_CLEANUP(hl_free_pointer) char *why = t->as_user ? hl_access_explain(path, HL_ACCESS_READ) : NULL;
        if (why && home && hl_has_prefix(path, home))
                tell(t, "COMMAND: \1; ~ is \2, the home of the model's user", why, home);
        else if (why && relative)
                tell(t, "COMMAND: \1; it runs in \2, so write the full path", why, t->run.directory);
        else if (why)
                tell(t, "COMMAND: \1", why, "");
}

static bool is_in(const char *path, const char *folder)
{
        size_t len = strlen(folder);
        return hl_has_prefix(path, folder) && (path[len] == '/' || (len > 0 && folder[len - 1] == '/'));
}

/* Where a model may write: systemd makes the rest read-only for it. */
static bool may_write(const struct trial *t, const char *path)
{
        static const char *const folders[] = { "/dev", "/proc", "/sys", "/tmp", "/var/tmp" };
        const char *home = value_of((void *)(uintptr_t)&t->variables, "HOME");
        bool may = !t->run.is_strict || (home && is_in(path, home));
        for (size_t i = 0; !may && i < HL_COUNT(folders); i++)
                may = is_in(path, folders[i]);
        for (char **folder = t->run.writable; !may && folder && *folder; folder++)
                may = is_in(path, *folder) || strcmp(path, *folder) == 0;
        return may;
}

static void try_target(const struct trial *t, const struct hl_word *word)
{
        if (!word->is_input && word->is_known && *word->text == '/' && !may_write(t, word->text))
                tell(t, "COMMAND writes to \1, where a model may not: leave that away, the journal has what it logs",
                     word->text, "");
}

/* Where it runs. What it may write to, such as StateDirectory=, systemd may make at the start. */
static void try_directory(const struct trial *t)
{
        if (!t->as_user || *t->run.directory != '/' || may_write(t, t->run.directory))
                return;
        HL_CLEANUP(hl_free_pointer) char *why = hl_access_explain(t->run.directory, HL_ACCESS_ENTER);
        if (why)
                tell(t, "WorkingDirectory= of its unit: \1", why, "");
}

/* A shell's own script is no file: sh -c "…". */
static bool is_script(const char *program, const char *option)
{
        static const char *const shells[] = { "sh", "bash", "dash", "zsh" };
        const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
        for (size_t i = 0; i < HL_COUNT(shells); i++)
                if (strcmp(name, shells[i]) == 0)
                        return option[0] == '-' && option[1] != '-' && strchr(option, 'c');
        return false;
}

/* Whether COMMAND itself makes the file, removes it, or asks whether it is there: [ -f x ] && source x. */
static bool is_made_or_tested(const struct hl_command *command, const char *text)
{
        for (size_t i = 0; i < command->count; i++) {
                const struct hl_word *word = &command->words[i];
                const struct hl_word *program = hl_command_program(command, word->command);
                bool is_last = i + 1 == command->count || word[1].command != word->command;
                if (!program || strcmp(word->text, text) != 0)
                        continue;
                if (hl_in_list("tee,mkdir,rm,touch,test,[", program->text, strlen(program->text)) ||
                    (is_last && hl_in_list("cp,install,ln,mv", program->text, strlen(program->text))))
                        return true;
        }
        return false;
}

static void try_words(struct trial *t, const struct hl_command *command)
{
        const struct hl_word *program = NULL;
        for (size_t i = 0; i < command->count; i++) {
                const struct hl_word *word = &command->words[i];
                if (!program || program->command != word->command)
                        program = hl_command_program(command, word->command);
                if (word->is_target)
                        try_target(t, word);
                if (word->is_assignment || word->is_target || word == program || !program)
                        continue;
                bool container = is_container(program->text);
                try_listening(t, command, i, container);
                const char *equals = *word->text == '-' ? strchr(word->text, '=') : NULL;
                const char *option = i > 0 && !equals ? command->words[i - 1].text : word->text;
                bool moves =
                        strcmp(program->text, "cd") == 0 || command->commands > 1; /* then what is relative to it? */
                const char *path = equals ? equals + 1 : word->text;
                bool writes = names_no_file(option) || is_made_or_tested(command, path);
                if (strcmp(path, "%i") == 0 || strstr(path, "/%i"))
                        tell(t, "COMMAND says \1: %i is systemd's, and stays as it is here: write \2", path,
                             t->model->name);
                if (word->is_known && !container && !writes && !is_script(program->text, option) &&
                    (*path == '/' || !moves) && *path != '-')
                        try_path(t, path, word->is_pattern);
        }
}

/* ---- one model ---- */

static void try_command(struct trial *t)
{
        struct hl_command command = { 0 };
        struct hl_err err = { 0 };
        const char *text = value_of((void *)(uintptr_t)&t->variables, "COMMAND");
        const struct hl_command_place place = { .variable = value_of,
                                                .data = (void *)(uintptr_t)&t->variables,
                                                .unit = t->model->unit,
                                                .no_new_privileges = t->run.no_new_privileges };
        try_directory(t);
        int r = hl_command_read(text ? text : "", value_of, (void *)(uintptr_t)&t->variables, &command, &err);
        if (r == 0 && t->as_user)
                r = hl_command_judge(&command, &place, &err);
        if (r < 0)
                tell(t, "\1", err.message, "");
        if (*command.unset && command.commands == 1 && t->knows_all)
                tell(t, "COMMAND uses $\1, which this file does not set", command.unset, "");
        try_words(t, &command);
        try_port(t);
        hl_command_free(&command);
}

static bool become(const char *name)
{
        const struct passwd *user = getpwnam(name);
        const struct group *video = getgrnam("video"), *render = getgrnam("render");
        if (!user || initgroups(name, user->pw_gid) < 0)
                return false;
        gid_t groups[64];
        int count = getgroups(HL_COUNT(groups) - 2, groups);
        if (count < 0)
                return false;
        if (video)
                groups[count++] = video->gr_gid;
        if (render)
                groups[count++] = render->gr_gid;
        return setgroups((size_t)count, groups) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0;
}

/* In a process of its own, which gives its rights up for good. */
static pid_t begin_trial(struct trial *t, int *ret_fd)
{
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -1;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
                t->as_user = !*t->run.user || become(t->run.user);
                t->out = fdopen(ends[1], "w");
                if (t->as_user && t->out)
                        try_command(t);
                _exit(t->as_user && t->out && fclose(t->out) == 0 ? EX_OK : EX_OSERR);
        }
        close(ends[1]);
        if (pid < 0)
                close(ends[0]);
        *ret_fd = ends[0];
        return pid;
}

static void read_findings(struct hl_check *c, const struct hl_model *model, FILE *from)
{
        char *line = NULL;
        size_t size = 0;
        while (from && getline(&line, &size, from) > 0) {
                line[strcspn(line, "\n")] = '\0';
                hl_check_problem(c, "%s: %s", model->file_path, line);
        }
        free(line);
}

static void check_one(struct hl_check *c, struct trial *t)
{
        if (geteuid() == 0) {
                int fd = -1, status = -1;
                pid_t pid = begin_trial(t, &fd);
                HL_CLEANUP(hl_close_file) FILE *from = pid > 0 ? fdopen(fd, "r") : NULL;
                read_findings(c, t->model, from);
                if (pid > 0)
                        waitpid(pid, &status, 0);
                if (status != 0)
                        hl_check_problem(c, "%s: COMMAND cannot be tried as the user %s: is there one? id %s",
                                         t->model->file_path, t->run.user, t->run.user);
                return;
        }
        char *text = NULL;
        size_t size = 0;
        t->out = open_memstream(&text, &size);
        if (t->out) {
                try_command(t);
                fflush(t->out);
                HL_CLEANUP(hl_close_file) FILE *from = size ? fmemopen(text, size, "r") : NULL;
                read_findings(c, t->model, from);
                fclose(t->out);
        }
        free(text);
}

/* What the unit sets, and then its files, of which the model's is one: a later one wins. */
static void read_environment(struct hl_check *c, struct trial *t)
{
        const struct passwd *user = *t->run.user ? getpwnam(t->run.user) : NULL;
        keep(&t->variables, 0, "PATH", UNIT_PATH);
        keep(&t->variables, 0, "HOME", user ? user->pw_dir : "/root");
        keep(&t->variables, 0, "CREDENTIALS_DIRECTORY", "/run/credentials");
        for (char **one = t->run.environment; one && *one; one++) {
                HL_CLEANUP(hl_free_pointer) char *name = hl_strndup(*one, strcspn(*one, "="));
                keep(&t->variables, 0, name, (*one)[strlen(name)] ? *one + strlen(name) + 1 : "");
        }
        for (char **path = t->run.files; path && *path; path++) {
                struct hl_buf text = { 0 };
                int r = hl_read_file(AT_FDCWD, *path + (**path == '-'), HL_MODEL_FILE_SIZE_MAX, &text);
                if (r == -ENOENT && **path != '-' && !strpbrk(*path, "*?["))
                        hl_check_problem(c, "%s: EnvironmentFile=%s of its unit is not there, so it cannot start",
                                         t->model->unit, *path);
                if (r == 0) {
                        const struct hl_envfile file = { .text = text.data ? text.data : "", .len = text.len };
                        hl_envfile_parse(&file, keep, &t->variables, NULL);
                } else {
                        t->knows_all = false;
                }
                hl_buf_free(&text);
        }
}

void hl_check_commands(struct hl_check *c, const struct hl_catalog *catalog)
{
        c->cause = CAUSE_MODELS;
        bool tried = false;
        struct hl_names verified = { 0 };
        for (size_t i = 0; i < catalog->count; i++) {
                struct trial t = { .model = &catalog->models[i], .knows_all = true };
                struct hl_err ignored = { 0 };
                bool readable = geteuid() == 0 || access(t.model->file_path, R_OK) == 0;
                bool known = hl_unit_run_read(&c->bus, t.model->unit, &t.run, &ignored) == 0;
                if (known)
                        hl_check_unit(c, t.model->unit, &t.run, &verified);
                if (known && readable && t.run.is_ours) {
                        read_environment(c, &t);
                        check_one(c, &t);
                        tried = true;
                }
                hl_unit_run_free(&t.run);
                hl_buf_free(&t.variables.text);
        }
        hl_names_free(&verified);
        if (tried && geteuid() != 0)
                hl_check_line("ok", "whether models may open their programs and weights, only root sees: sudo "
                                    "home-lab-services check");
}
