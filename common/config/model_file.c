/* SPDX-License-Identifier: MIT */
#include "model_file.h"

#include "aliases.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "names.h"
#include "systemd/bus.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VALUE_SHOWN_MAX 60 /* bytes of a wrong value that a finding repeats */

static const char *const keys[] = { "PORT",    "COMMAND",    "HEALTH_PATH", "IDLE_TIMEOUT", "START_TIMEOUT",
                                    "ALIASES", "GPU_MEMORY", "MEMORY",      "GROUP",        "KEEP" };
/* Behind COMMAND a comment is a shell's; behind the others it makes the value a wrong one. */
static const char judged[] = "COMMAND,PORT,HEALTH_PATH,IDLE_TIMEOUT,START_TIMEOUT,GPU_MEMORY,MEMORY,GROUP,KEEP";
static const char *const no_arguments[] = { "HEALTH_PATH", "IDLE_TIMEOUT", "START_TIMEOUT", "ALIASES", "GPU_MEMORY" };

/* One reading of a model's file. */
struct reading {
        struct hl_model *model;
        const struct hl_report *report;
        struct hl_names seen;
};

static void tell(const struct reading *reading, unsigned line, const char *key, const char *message)
{
        hl_report_tell(reading->report, reading->model->file_path, line, key, message);
}

/* The first of the findings that may be why there is no PORT is kept: of PORT, of a line that is ignored, or of a value
 * that has swallowed PORT's line. */
static void tell_of_port(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        const struct reading *reading = data;
        struct hl_model *model = reading->model;
        if (!model->port_error && (!*key || strcmp(key, "PORT") == 0 || strstr(message, "PORT")))
                model->port_error = hl_format("%s:%u: %s%s%s", file, line, key, *key ? " " : "", message);
        tell(reading, line, key, message);
}

/* A value that is no such thing, with what it must be. */
static void tell_value(struct reading *reading, unsigned line, const char *key, const char *expected, const char *value)
{
        HL_CLEANUP(hl_free_pointer) char *shown = hl_shorten(value, strlen(value), VALUE_SHOWN_MAX);
        const char *hint = strchr(value, '#') ? ": a comment needs a line of its own" : "";
        HL_CLEANUP(hl_free_pointer) char *message = hl_format("%s, not \"%s\"%s", expected, shown, hint);
        tell_of_port(reading, reading->model->file_path, line, key, message);
}

static void set_port(struct reading *reading, unsigned line, const char *value)
{
        uint64_t port = 0;
        if (hl_parse_uint(value, 65535, &port) < 0 || port == 0) {
                tell_value(reading, line, "PORT", "must be a port number from 1 to 65535", value);
                port = 0;
        }
        reading->model->port = (uint16_t)port;
}

static bool is_url_path(const char *text)
{
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7F)
                        return false;
        return *text == '/';
}

/* A key of what the model needs: false, it is none of those. */
static bool set_claim(struct reading *reading, unsigned line, const char *name, const char *value)
{
        static const struct {
                const char *key;
                int (*set)(struct hl_claim *claim, const char *value, char **ret_problem);
        } claims[] = {
                { "GPU_MEMORY", hl_claim_set_gpu_memory },
                { "MEMORY", hl_claim_set_memory },
                { "GROUP", hl_claim_set_groups },
                { "KEEP", hl_claim_set_keep },
        };
        for (size_t i = 0; i < HL_COUNT(claims); i++) {
                HL_CLEANUP(hl_free_pointer) char *problem = NULL;
                if (strcmp(name, claims[i].key) != 0)
                        continue;
                if (claims[i].set(&reading->model->claim, value, &problem) < 0)
                        tell_of_port(reading, reading->model->file_path, line, name, problem);
                return true;
        }
        return false;
}

/* A backslash behind the last line of COMMAND makes the next line its last word. PORT would be told as missing, and may
 * be an argument of make's, as MEMORY may. */
static void tell_of_swallowed(const struct reading *reading, unsigned line, const char *command)
{
        const char *last = command;
        for (const char *c = command; *c; c++)
                if (strchr(" \t\n", *c) && c[1] && !strchr(" \t\n", c[1]))
                        last = c + 1;
        for (size_t i = 0; i < HL_COUNT(no_arguments) && last > command; i++) {
                size_t len = strlen(no_arguments[i]);
                if (strncmp(last, no_arguments[i], len) != 0 || last[len] != '=')
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *message =
                        hl_format("takes the line \"%s\" for its last word: remove the backslash in front of it", last);
                tell(reading, line, "COMMAND", message);
        }
}

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        struct reading *reading = data;
        struct hl_model *model = reading->model;
        uint64_t span;
        unsigned earlier = hl_names_add(&reading->seen, name, line);
        if (earlier > 0) {
                HL_CLEANUP(hl_free_pointer)
                char *message = hl_format("once more: line %u is ignored, remove one of the two", earlier);
                tell(reading, line, name, message);
        }
        if (strcmp(name, "PORT") == 0) {
                set_port(reading, line, value);
        } else if (strcmp(name, "HEALTH_PATH") == 0) {
                if (is_url_path(value)) {
                        free(model->health_path);
                        model->health_path = hl_strdup(value);
                } else {
                        tell_value(reading, line, name, "must be a path that begins with /", value);
                }
        } else if (strcmp(name, "IDLE_TIMEOUT") == 0) {
                bool never = strcasecmp(value, "never") == 0 || strcmp(value, "infinity") == 0; /* systemd's own word */
                if (never || (hl_parse_timespan(value, &span) == 0 && span > 0))
                        model->idle_timeout_us = never ? HL_USEC_INFINITY : span;
                else
                        tell_value(reading, line, name, "must be a time span such as \"45min\", or \"never\"", value);
        } else if (strcmp(name, "START_TIMEOUT") == 0) {
                if (hl_parse_timespan(value, &span) == 0 && span >= HL_USEC_PER_SEC &&
                    span <= HL_START_TIMEOUT_MAX_SECONDS * HL_USEC_PER_SEC)
                        model->start_timeout_us = span;
                else
                        tell_value(reading, line, name, "must be a time span from 1s to 1h", value);
        } else if (strcmp(name, "COMMAND") == 0) {
                tell_of_swallowed(reading, line, value);
        } else if (strcmp(name, "ALIASES") == 0) {
                hl_aliases_read(model, line, value, reading->report);
        } else if (set_claim(reading, line, name, value)) {
                return;
        } else if (hl_names_want_expansion(&reading->seen, name, value)) {
                tell(reading, line, name,
                     "has a $ or ~, and nothing is expanded in this file: write it out, or write it in front of the "
                     "program in COMMAND");
        }
}

/* What a name was meant for that is none of ours, where the one that it looks like is missing. */
static void tell_of_typos(struct reading *reading)
{
        size_t ours = 0;
        for (size_t i = 0; i < HL_COUNT(keys); i++)
                ours += hl_names_line(&reading->seen, keys[i]) > 0;
        for (size_t i = 0; i < HL_COUNT(keys) && ours < reading->seen.count; i++) {
                const char *name = NULL;
                unsigned line = hl_names_find_similar(&reading->seen, keys[i], &name);
                if (line == 0)
                        continue;
                HL_CLEANUP(hl_free_pointer) char *message = hl_format("means nothing to us: did you mean %s?", keys[i]);
                tell_of_port(reading, reading->model->file_path, line, name, message);
        }
}

/* What the unit is told by, and not the program. */
static void tell_of_settings(const struct reading *reading)
{
        static const char settings[] =
                "User,Group,SupplementaryGroups,WorkingDirectory,Environment,EnvironmentFile,LoadCredential,"
                "ExecStartPre,ExecStartPost,ExecStop,ExecStopPost,Restart,RestartSec,TimeoutStartSec,TimeoutStopSec,"
                "MemoryMax,MemoryHigh,Nice,LimitNOFILE,LimitMEMLOCK,"
                "DeviceAllow,ReadWritePaths,After,Requires,Wants";
        for (size_t i = 0; i < reading->seen.count; i++) {
                const struct hl_names_entry *seen = &reading->seen.entries[i];
                if (!islower((unsigned char)seen->name[1]) || !hl_in_list(settings, seen->name, strlen(seen->name)))
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *message =
                        hl_format("is for the unit, and means nothing in this file: \"sudo systemctl edit %s\", "
                                  "below [Service] or [Unit]",
                                  reading->model->unit);
                tell(reading, seen->line, seen->name, message);
        }
}

/* The systemd that runs; where it cannot be asked, the newest. */
static unsigned running_systemd(void)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        struct hl_err ignored = { 0 };
        unsigned version = UINT_MAX;
        hl_bus_systemd_version(&bus, &version, &ignored);
        return version;
}

static int parse(struct reading *reading, const struct hl_buf *text)
{
        const struct hl_envfile file = { .text = text->data ? text->data : "",
                                         .len = text->len,
                                         .path = reading->model->file_path,
                                         .judged = judged,
                                         .systemd = running_systemd };
        const struct hl_report report = { tell_of_port, reading };
        int r = hl_envfile_parse(&file, assign, reading, &report);
        if (r == 0 && hl_names_line(&reading->seen, "PORT") == 0)
                tell(reading, 0, "PORT", "is missing: without it the model cannot be reached");
        if (r == 0) {
                tell_of_typos(reading);
                tell_of_settings(reading);
        }
        return r;
}

/* A file that is gone, or that cannot be read now, but may be in a moment, must not make its model look as if it were
 * another. */
static bool is_for_now(int r)
{
        return r == -ENOENT || hl_may_pass(r);
}

/* Behind the path of a file that could not be read. NULL: it could. */
static char *why_unreadable(const struct hl_model *model)
{
        const struct passwd *user;
        switch (model->read_error) {
        case 0:
                return NULL;
        case EFBIG:
                return hl_format("is longer than %d bytes", HL_MODEL_FILE_SIZE_MAX);
        case EILSEQ:
        case EBADMSG:
                return hl_strdup(
                        "is not UTF-8 text, and systemd starts nothing with it: \"home-lab-services check\" says "
                        "in which line");
        default:
                user = getpwuid(geteuid());
                return hl_format(
                        "cannot be read by the user %s: \"sudo chmod 0644 %s\"; secrets belong into the model's "
                        "unit (\"sudo systemctl edit %s\": EnvironmentFile= with a file of root's, or LoadCredential=)",
                        user ? user->pw_name : "that runs this", model->file_path, model->unit);
        }
}

int hl_model_readable(const struct hl_model *model, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *why = why_unreadable(model);
        return why ? hl_fail(err, HL_ERR_CONFLICT, model->read_error, "model_file_unreadable", "%s %s",
                             model->file_path, why)
                   : 0;
}

int hl_model_has_port(const struct hl_model *model, struct hl_err *err)
{
        int r = hl_model_readable(model, err);
        if (r < 0 || model->port)
                return r;
        if (model->port_error)
                return hl_fail(err, HL_ERR_CONFLICT, EINVAL, "model_without_port", "%s has no PORT to be asked on: %s",
                               model->name, model->port_error);
        return hl_fail(err, HL_ERR_CONFLICT, EINVAL, "model_without_port",
                       "%s has no PORT to be asked on: add one to %s", model->name, model->file_path);
}

int hl_model_file_read(int dir_fd, const struct hl_config *config, struct hl_model *model,
                       const struct hl_report *report)
{
        struct reading reading = { .model = model, .report = report };
        struct hl_buf text = { 0 };
        model->health_path = hl_strdup(config->health_path);
        model->idle_timeout_us = 0; /* not said */
        model->start_timeout_us = config->start_timeout_us;

        int r = hl_read_file(dir_fd, model->name, HL_MODEL_FILE_SIZE_MAX, &text);
        model->read_error = -r;
        if (r == 0) {
                model->read_error = -(r = parse(&reading, &text));
        } else if (!is_for_now(r)) {
                HL_CLEANUP(hl_free_pointer) char *why = why_unreadable(model);
                tell(&reading, 0, "", why);
        }
        if (model->idle_timeout_us == 0) /* without a port nobody can see whether it is in use: it may be, always */
                model->idle_timeout_us = model->port ? config->idle_threshold_us : HL_USEC_INFINITY;
        if (model->port)
                free(hl_steal(model->port_error));
        hl_names_free(&reading.seen);
        hl_buf_free(&text);
        return is_for_now(r) ? r : 0;
}
