/* SPDX-License-Identifier: MIT */
#include "command_place.h"

#include "access.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "command_words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define DOCKER_SOCKET "/run/docker.sock"
#define INTERPRETER_MAX 256  /* bytes of a script's first line: execve(2) */
#define SAID_MAX 1024        /* bytes of what a shell says of a script */
#define SHELL_SAYS ": line " /* and a number and a colon, in front of what is wrong */

/* One of the commands, from its program on. */
struct part {
        const struct hl_command *command;
        const struct hl_command_place *place;
        size_t first, end; /* words; those in front of the program are assignments */
        bool is_first;     /* no program stands in front of it */
        bool is_prepared;  /* something in front of it may have changed where programs are found */
        struct hl_err *err;
};

static const char *text_at(const struct part *p, size_t i)
{
        return i < p->end && p->command->words[i].is_known ? p->command->words[i].text : "";
}

static bool is_any(const char *text, const char *const *words)
{
        for (; *words; words++)
                if (strcmp(text, *words) == 0)
                        return true;
        return false;
}

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

static int refuse(const struct part *p, const char *format, const char *what)
{
        const char *hole = strstr(format, "%s");
        HL_CLEANUP(hl_free_pointer)
        char *sentence = hole ? hl_format("%.*s%s%s", (int)(hole - format), format, what, hole + 2) : hl_strdup(format);
        return hl_fail(p->err, HL_ERR_INVALID, EINVAL, "command_invalid", "%s", sentence);
}

/* The first of the words that is no option. */
static const char *verb_of(const struct part *p, size_t program)
{
        for (size_t i = program + 1; i < p->end; i++)
                if (*text_at(p, i) != '-')
                        return text_at(p, i);
        return "";
}

/* Whether an option has this letter: -d, also among others as in -itd, as in -dp for -d -p, or as in -d=true. */
static bool has_letter(const char *word, char letter)
{
        static const char switches[] = "itdP";
        if (*word != '-')
                return false;
        size_t len = strspn(word + 1, switches);
        const char *behind = word + 1 + len;
        bool ends = !*behind || strcmp(behind, "=true") == 0 || (isalpha((unsigned char)*behind) && !behind[1]);
        return len > 0 && ends && memchr(word + 1, letter, len);
}

/* Whether a word that begins with no "-" is the value of the option in front of it. */
static bool is_value(const char *before)
{
        static const char *const switches[] = { "-q",
                                                "-T",
                                                "--build",
                                                "--init",
                                                "--interactive",
                                                "--no-deps",
                                                "--no-healthcheck",
                                                "--no-TTY",
                                                "--oom-kill-disable",
                                                "--privileged",
                                                "--publish-all",
                                                "--quiet",
                                                "--quiet-pull",
                                                "--read-only",
                                                "--rm",
                                                "--service-ports",
                                                "--sig-proxy",
                                                "--tty",
                                                "--use-aliases",
                                                NULL };
        return *before == '-' && !strchr(before, '=') && !is_any(before, switches) &&
               strspn(before + 1, "itdP") != strlen(before + 1);
}

/* A letter, or its long form: of "run" and "exec" in front of the image or container, of "compose" behind "up". */
static bool has_flag(const struct part *p, size_t program, char letter, const char *option)
{
        bool is_run = false, is_up = false;
        size_t option_len = strlen(option);
        for (size_t i = program + 1; i < p->end; i++) {
                const char *word = text_at(p, i), *behind = word + option_len;
                bool is_long = strncmp(word, option, option_len) == 0 && (!*behind || strcmp(behind, "=true") == 0);
                if ((is_long || has_letter(word, letter)) && (is_run || is_up))
                        return true;
                if (is_run && *word != '-' && !is_value(text_at(p, i - 1)))
                        return false; /* the image: what follows is its program's */
                is_run |= !is_up && (strcmp(word, "run") == 0 || strcmp(word, "exec") == 0);
                is_up |= strcmp(word, "up") == 0;
        }
        return false;
}

static int judge_container(const struct part *p, size_t program, const char *name)
{
        const char *verb = verb_of(p, program);
        struct stat status;
        if (has_flag(p, program, 'd', "--detach"))
                return refuse(p,
                              "COMMAND: with -d %s goes to the background, and its unit ends: leave -d away, and add "
                              "--rm to \"run\"",
                              name);
        if (strcmp(name, "podman") != 0 && has_flag(p, program, 'i', "--interactive") &&
            has_flag(p, program, 't', "--tty"))
                return refuse(p, "COMMAND: with -it %s wants a terminal, and a unit has none: leave -it away", name);
        bool is_last = p->end == p->command->count; /* else another may stay with it: docker attach */
        if ((strcmp(verb, "start") == 0 && *text_at(p, program + 2) != '-') ||
            (strcmp(verb, "restart") == 0 && is_last))
                return refuse(p,
                              "COMMAND: what %s starts so goes to the background, and its unit ends: write \"start "
                              "--attach\"",
                              name);
        if (strcmp(name, "podman") != 0 && stat(DOCKER_SOCKET, &status) == 0 && access(DOCKER_SOCKET, W_OK) < 0) {
                HL_CLEANUP(hl_free_pointer) char *user = hl_access_user();
                return hl_fail(p->err, HL_ERR_INVALID, EACCES, "command_invalid",
                               "the user %s may not use Docker: \"sudo systemctl edit %s\", [Service], "
                               "SupplementaryGroups=docker",
                               user, p->place->unit);
        }
        return 0;
}

/* screen and tmux want a terminal, or go to the background; but "screen -DmS name program" stays, and what is not the
 * last command tidies up. */
static bool is_multiplexer(const struct part *p, size_t program)
{
        const char *name = base_name(text_at(p, program));
        bool stays = p->end < p->command->count;
        for (size_t i = program + 1; i < p->end && (*text_at(p, i) == '-' || *text_at(p, i - 1) == '-'); i++)
                stays |= *text_at(p, i) == '-' && strchr(text_at(p, i), 'D');
        return !stays && (strcmp(name, "screen") == 0 || strcmp(name, "tmux") == 0);
}

/* What a unit cannot bear, whatever its arguments are. */
static int judge_habits(const struct part *p, size_t program)
{
        static const char *const rights[] = { "sudo", "su", "doas", "pkexec", "runuser", NULL };
        static const char *const containers[] = { "docker", "podman", "docker-compose", NULL };
        static const char *const environments[] = { "conda", "mamba", "micromamba", NULL };
        const char *name = base_name(text_at(p, program)), *next = text_at(p, program + 1);
        if (is_any(name, rights) && p->place->no_new_privileges)
                return hl_fail(
                        p->err, HL_ERR_INVALID, EINVAL, "command_invalid",
                        "COMMAND: %s has no use in a unit: \"sudo systemctl edit %s\", [Service], User= says whose "
                        "rights the program has",
                        name, p->place->unit);
        if (is_multiplexer(p, program) || strcmp(name, "daemonize") == 0 ||
            (strcmp(name, "setsid") == 0 && *next != '-'))
                return refuse(p,
                              "COMMAND: %s goes to the background, or wants a terminal, and its unit ends: leave it "
                              "away, the unit does its work",
                              name);
        if (strcmp(name, "systemctl") == 0 || strcmp(text_at(p, program), "service") == 0)
                return refuse(p,
                              "COMMAND: %s only asks for another unit: name the program itself, or that unit in "
                              "unit_template",
                              name);
        if (strcmp(name, "set") == 0 && hl_command_is_assignment(next))
                return refuse(p,
                              "COMMAND: \"set %s\" is of Windows' shell: write it in front of the program, without set",
                              next);
        if (p->is_first && is_any(name, environments) && strcmp(next, "activate") == 0)
                return refuse(p,
                              "COMMAND: \"%s activate\" works in a terminal alone: write \"conda run "
                              "--no-capture-output -n NAME program\", or the full path of the environment's program",
                              name);
        return is_any(name, containers) ? judge_container(p, program, name) : 0;
}

static bool is_program(const char *path)
{
        struct stat status;
        return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* The full path of a program; NULL: PATH has none. free(). */
static char *find_in_path(const char *path, const char *name)
{
        for (const char *at = path; *at;) {
                size_t len = strcspn(at, ":");
                char *file = hl_format("%.*s%s%s", (int)len, at, len ? "/" : "", name);
                if (is_program(file))
                        return file;
                free(file);
                at += len + (at[len] == ':');
        }
        return NULL;
}

/* A script's first line may name an interpreter that is elsewhere by now, as that of a venv which was moved. */
static int judge_script(const struct part *p, const char *file)
{
        char line[INTERPRETER_MAX + 1] = "";
        HL_CLEANUP(hl_close_fd) int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0 || !hl_has_prefix(line, "#!"))
                return 0;
        line[strcspn(line, "\n")] = '\0';
        char *interpreter = line + 2 + strspn(line + 2, " \t");
        if (strchr(interpreter, '\r'))
                return hl_fail(p->err, HL_ERR_INVALID, EINVAL, "command_invalid",
                               "%s has Windows' line ends, with which it cannot run: sed -i 's/\\r$//' %s", file, file);
        interpreter[strcspn(interpreter, " \t")] = '\0';
        HL_CLEANUP(hl_free_pointer)
        char *why = *interpreter == '/' ? hl_access_explain(interpreter, HL_ACCESS_RUN) : NULL;
        return why ? hl_fail(p->err, HL_ERR_INVALID, ENOENT, "command_invalid",
                             "%s is a script, and cannot be run by the program that its first line names: %s", file,
                             why)
                   : 0;
}

static bool is_path(const char *word)
{
        return hl_has_prefix(word, "PATH=") || hl_has_prefix(word, "PATH+=");
}

/* PATH as this command has it. NULL: it cannot be known. */
static const char *path_of(const struct part *p, size_t program)
{
        for (size_t i = program; i-- > p->first;)
                if (is_path(p->command->words[i].text))
                        return p->command->words[i].is_known && hl_has_prefix(p->command->words[i].text, "PATH=")
                                       ? p->command->words[i].text + strlen("PATH=")
                                       : NULL;
        const char *path = p->place->variable(p->place->data, "PATH");
        return path ? path : "/usr/bin:/bin";
}

static bool sets_path(const struct part *p)
{
        bool sets = false;
        for (size_t i = p->first; i < p->end; i++)
                sets |= is_path(p->command->words[i].text);
        return sets;
}

static int judge_program(const struct part *p, size_t program)
{
        const char *name = text_at(p, program);
        if (!*name || p->command->words[program].is_pattern || hl_command_is_builtin(name))
                return 0;
        HL_CLEANUP(hl_free_pointer) char *user = hl_access_user();
        if (strchr(name, '/')) {
                if (*name != '/' && p->is_prepared)
                        return 0;
                HL_CLEANUP(hl_free_pointer) char *why = *name == '/' ? hl_access_explain(name, HL_ACCESS_RUN) : NULL;
                if (*name == '/' ? !why : is_program(name))
                        return judge_script(p, name);
                return hl_fail(p->err, HL_ERR_INVALID, ENOENT, "command_invalid",
                               "there is no program %s that %s may run: %s", name, user,
                               why ? why : "write its full path");
        }
        const char *path = path_of(p, program);
        HL_CLEANUP(hl_free_pointer) char *file = path && !p->is_prepared ? find_in_path(path, name) : NULL;
        if (file)
                return judge_script(p, file);
        if (!path || p->is_prepared)
                return 0;
        return hl_fail(p->err, HL_ERR_INVALID, ENOENT, "command_invalid",
                       "there is no program %s that %s may run: write its full path, it is not in %s", name, user,
                       path);
}

/* Behind "env", "nohup" and the like stands another program. Returns its place, or p->end. */
static size_t wrapped(const struct part *p, size_t program)
{
        static const char *const wrappers[] = { "env", "nohup", "exec", "command", NULL };
        size_t i = program + 1;
        if (!is_any(base_name(text_at(p, program)), wrappers))
                return p->end;
        while (i < p->end && (p->command->words[i].is_target || hl_command_is_assignment(text_at(p, i))))
                i++;
        return i < p->end && *text_at(p, i) != '-' ? i : p->end;
}

static int judge_part(const struct part *p)
{
        size_t program = p->first;
        while (program < p->end && (p->command->words[program].is_assignment || p->command->words[program].is_target))
                program++;
        int r = 0;
        for (; r == 0 && program < p->end; program = wrapped(p, program)) {
                r = judge_habits(p, program);
                if (r == 0)
                        r = judge_program(p, program);
        }
        return r;
}

/* Whether a shell can read it; what the shell says is the reason. */
static int judge_syntax(const struct hl_command *command, struct hl_err *err)
{
        char said[SAID_MAX] = "";
        int status = -1;
        HL_CLEANUP(hl_close_fd) int fd = memfd_create("said", MFD_CLOEXEC);
        pid_t pid = fd < 0 ? -1 : fork();
        if (pid < 0)
                return 0; /* the shell that is started then says the same */
        if (pid == 0) {
                dup2(fd, STDERR_FILENO);
                execl(HL_COMMAND_SHELL, "bash", "-p", "+B", "-n", "-c", command->script, "COMMAND", (char *)NULL);
                _exit(EX_OSERR);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (status == 0)
                return 0;
        if (pread(fd, said, sizeof(said) - 1, 0) < 0)
                *said = '\0';
        const char *place = strstr(said, SHELL_SAYS), *reason = place ? strchr(place + strlen(SHELL_SAYS), ':') : NULL;
        return hl_fail(err, HL_ERR_INVALID, EINVAL, "command_invalid", "COMMAND is not what a shell can read%.*s",
                       reason ? (int)strcspn(reason, "\n") : 0, reason ? reason : "");
}

int hl_command_judge(const struct hl_command *command, const struct hl_command_place *place, struct hl_err *err)
{
        struct part p = { .command = command, .place = place, .is_first = true, .err = err };
        int r = judge_syntax(command, err);
        for (unsigned number = 0; r == 0 && number < command->commands; number++) {
                p.first = p.end;
                while (p.end < command->count && command->words[p.end].command == number)
                        p.end++;
                r = judge_part(&p);
                const struct hl_word *program = hl_command_program(command, number);
                p.is_first = p.is_first && !program;
                p.is_prepared |= program ? !program->is_known || hl_command_prepares(program->text) : sets_path(&p);
        }
        return r;
}
