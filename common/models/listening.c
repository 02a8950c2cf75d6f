/* SPDX-License-Identifier: MIT */
#include "listening.h"

#include "base/buf.h"
#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "kernel/cgroups.h"
#include "kernel/sockets.h"
#include "kernel/unix_listeners.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 4 /* that are named */

/* ---- what COMMAND says ---- */

static bool is_part_of_number(char c)
{
        return isdigit((unsigned char)c) || c == '.';
}

/* The next place where a number stands by itself: "8299" in "--port=8299" and ":8299", not in "18299". */
static const char *find_number(const char *text, const char *number, const char *from)
{
        size_t len = strlen(number);
        for (const char *at = strstr(from, number); at; at = strstr(at + 1, number))
                if ((at == text || !is_part_of_number(at[-1])) && !is_part_of_number(at[len]))
                        return at;
        return NULL;
}

/* The word that says what a number is for: the option before it, "--port" or "-p", or the variable, "OLLAMA_HOST". */
static char *meaning_of(const char *command, const char *at)
{
        const char *begin = at;
        while (begin > command && !isspace((unsigned char)begin[-1]))
                begin--;
        size_t own = strcspn(begin, "=");
        if (begin + own < at) /* NAME=…8299 */
                return hl_strndup(begin, own);
        if (*begin == '-' && begin[1] != '-' && begin + 2 == at) /* -p8299 */
                return hl_strndup(begin, 2);
        const char *end = begin;
        while (end > command && isspace((unsigned char)end[-1]))
                end--;
        begin = end;
        while (begin > command && !isspace((unsigned char)begin[-1]))
                begin--;
        return *begin == '-' ? hl_strndup(begin, (size_t)(end - begin)) : hl_strdup("");
}

/* Of another one, "--metrics-port" or "--grpc-port", nobody knows whether it is where requests are answered. */
static bool means_where_it_listens(const char *meaning)
{
        static const char *const words[] = { "",           "--port",      "-port",          "-p",
                                             "-P",         "--http-port", "--host",         "-host",
                                             "--bind",     "-b",          "--listen",       "-listen",
                                             "--addr",     "-addr",       "--address",      "--server-port",
                                             "--api-port", "OLLAMA_HOST", "LLAMA_ARG_PORT", "UVICORN_PORT" };
        for (size_t i = 0; i < HL_COUNT(words); i++)
                if (strcmp(words[i], meaning) == 0)
                        return true;
        return false;
}

bool hl_listening_command_says(const char *command, uint16_t port, uint16_t other)
{
        char number[8], other_number[8];
        snprintf(number, sizeof(number), "%u", port);
        snprintf(other_number, sizeof(other_number), "%u", other);
        if (strstr(command, "$PORT") || strstr(command, "${PORT") || find_number(command, other_number, command))
                return false;
        bool found = false;
        for (const char *at = command; (at = find_number(command, number, at)); at++) {
                HL_CLEANUP(hl_free_pointer) char *meaning = meaning_of(command, at);
                if (!means_where_it_listens(meaning))
                        return false;
                found = true;
        }
        return found;
}

static void keep_command(void *data, unsigned line, const char *name, const char *value)
{
        (void)line;
        char **command = data;
        if (strcmp(name, "COMMAND") == 0) {
                free(*command);
                *command = hl_strdup(value);
        }
}

/* "" where it cannot be read: nothing is certain then. */
static char *read_command(const struct hl_model *model)
{
        char *command = NULL;
        struct hl_buf text = { .max = HL_MODEL_FILE_SIZE_MAX };
        if (hl_read_file(AT_FDCWD, model->file_path, HL_MODEL_FILE_SIZE_MAX, &text) == 0 && text.data)
                hl_envfile_parse(&(struct hl_envfile){ .text = text.data, .len = text.len }, keep_command, &command,
                                 NULL);
        hl_buf_free(&text);
        return command ? command : hl_strdup("");
}

/* ---- what the kernel says ---- */

struct look {
        const struct hl_model *model;
        struct hl_cgroups groups;
        bool knows_groups, here;
        unsigned on_port;               /* sockets on PORT that nobody reaches by 127.0.0.1 */
        char address[INET6_ADDRSTRLEN]; /* of one of these */
        uint16_t ports[PLACES_MAX];     /* the others */
        size_t count;
};

static void add_port(struct look *look, uint16_t port)
{
        for (size_t i = 0; i < look->count; i++)
                if (look->ports[i] == port)
                        return;
        if (look->count < PLACES_MAX)
                look->ports[look->count++] = port;
}

static void look_at(void *data, const struct hl_listener *listener)
{
        struct look *look = data;
        look->knows_groups = look->knows_groups || listener->cgroup != 0;
        if (listener->port == look->model->port && hl_listener_takes_loopback(listener) > 0) {
                look->here = true; /* whoever it is: owner.h */
                return;
        }
        if (!hl_cgroups_have(&look->groups, listener->cgroup))
                return;
        if (listener->port != look->model->port) {
                add_port(look, listener->port);
                return;
        }
        look->on_port++;
        inet_ntop(listener->is_v6 ? AF_INET6 : AF_INET, listener->address, look->address, sizeof(look->address));
}

static void say_address(const struct look *look, const char *command, struct hl_listening *l)
{
        bool is_v6_loopback = strcmp(look->address, "::1") == 0;
        l->is_certain = look->on_port == 1 &&
                        (strstr(command, look->address) || (is_v6_loopback && strstr(command, "localhost")));
        snprintf(l->sentence, sizeof(l->sentence),
                 "%.128s listens on %s alone, port %u, and is asked on 127.0.0.1: let it listen there "
                 "(--host 127.0.0.1 in COMMAND)",
                 look->model->name, look->address, look->model->port);
}

static void say_ports(const struct look *look, const char *command, struct hl_listening *l)
{
        uint16_t port = look->ports[0];
        struct hl_buf places = { 0 };
        for (size_t i = 0; i < look->count; i++)
                hl_buf_addf(&places, "%s%u", i == 0 ? "" : i + 1 == look->count ? " and " : ", ", look->ports[i]);
        l->is_certain = look->count == 1 && hl_listening_command_says(command, port, look->model->port);
        if (look->count == 1)
                snprintf(l->sentence, sizeof(l->sentence),
                         "%.128s listens on %u, but PORT is %u: %swrite PORT=\"%u\", or --port $PORT in COMMAND",
                         look->model->name, port, look->model->port,
                         l->is_certain ? "" : "if it does not come to that, ", port);
        else
                snprintf(l->sentence, sizeof(l->sentence), "%.128s listens on %s, but PORT is %u, and not on that",
                         look->model->name, places.data, look->model->port);
        hl_buf_free(&places);
}

static void say_nothing_on_tcp(const struct look *look, const char *command, struct hl_listening *l)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_unix_listener_in(command);
        if (!path)
                return;
        l->where = HL_LISTENS_ELSEWHERE;
        l->is_certain = true;
        snprintf(l->sentence, sizeof(l->sentence),
                 "%.128s listens on the unix socket %.80s alone: let it listen on 127.0.0.1 and PORT %u",
                 look->model->name, path, look->model->port);
}

void hl_listening_look(const struct hl_model *model, struct hl_listening *ret_listening)
{
        struct look look = { .model = model };
        struct hl_err ignored = { 0 };
        *ret_listening = (struct hl_listening){ .where = HL_LISTENS_UNKNOWN };
        hl_cgroups_of_unit(model->unit, &look.groups);
        if (look.groups.count == 0 || hl_sockets_listeners(0, look_at, &look, &ignored) < 0) {
                hl_cgroups_free(&look.groups);
                return;
        }
        HL_CLEANUP(hl_free_pointer) char *command = look.here ? NULL : read_command(model);
        ret_listening->where = look.here ? HL_LISTENS_HERE : HL_LISTENS_ELSEWHERE;
        if (look.on_port > 0 && !look.here) {
                say_address(&look, command, ret_listening);
        } else if (look.count > 0 && !look.here) {
                say_ports(&look, command, ret_listening);
        } else if (!look.here) {
                ret_listening->where = look.knows_groups ? HL_LISTENS_NOWHERE : HL_LISTENS_UNKNOWN;
                say_nothing_on_tcp(&look, command, ret_listening);
        }
        hl_cgroups_free(&look.groups);
}
