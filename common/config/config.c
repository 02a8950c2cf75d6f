/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/str.h"
#include "budget.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_VARIABLE "MODELS_CONFIG_DIR"
#define ENVIRONMENT_FILE "/etc/default/home-lab-services"

const char *hl_configuration_dir(void)
{
        return hl_folder("CONFIGURATION_DIRECTORY", "/etc/home-lab-services");
}

const char *hl_state_dir(void)
{
        return hl_folder("STATE_DIRECTORY", "/var/lib/home-lab-services");
}

/* One reading of the file: where its findings go. */
struct reading {
        const char *path;
        const struct hl_buf *text;
        const struct hl_report *report;
        unsigned count;
};

static void note(void *data, const char *key, const char *message)
{
        struct reading *reading = data;
        reading->count++;
        if (reading->report)
                hl_report_tell(reading->report, reading->path,
                               hl_json_line_of(reading->text->data, reading->text->len, key), key, message);
}

static bool is_path(const char *text)
{
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c <= 0x20 || *c == 0x7F)
                        return false;
        return *text == '/';
}

/* "model@%s.service": a template's name with the instance left open. */
static bool is_unit_template(const char *text)
{
        size_t prefix = 0;
        while (isalnum((unsigned char)text[prefix]) || (text[prefix] && strchr(":_.-", text[prefix])))
                prefix++;
        return prefix > 0 && strcmp(text + prefix, "@%s.service") == 0;
}

/* The numbers as the file has them, before they become microseconds. */
struct raw_config {
        int64_t start_timeout_seconds;
        double active_minutes, idle_minutes, host_idle_minutes;
        const char *loopback, *models;
        const hl_json *hosts, *origins;
        const hl_json *gpus;
        const char *memory;
        double min_residency_seconds, queue_seconds;
};

/* "box.lan": what a client may call this host, without "http://", port or path. */
static bool is_host_name(const char *text)
{
        size_t len = 0;
        while (isalnum((unsigned char)text[len]) || (text[len] && strchr("._-", text[len])))
                len++;
        return len > 0 && text[len] == '\0';
}

#define ORIGIN_SHOWN_MAX 100 /* bytes */

static void check_origins(const hl_json *origins, struct reading *reading)
{
        for (size_t i = 0; origins && i < hl_json_length(origins); i++) {
                const char *origin = hl_json_string_at(origins, i), *problem = hl_origin_problem(origin);
                if (!problem)
                        continue;
                HL_CLEANUP(hl_free_pointer) char *shown = hl_strndup(origin, strnlen(origin, ORIGIN_SHOWN_MAX));
                hl_make_printable(shown);
                HL_CLEANUP(hl_free_pointer) char *message = hl_format("\"%s\" %s", shown, problem);
                note(reading, "auth.allowed_origins", message);
        }
}

/* What a type and bounds cannot say. */
static void check_strings(const struct hl_config *c, const struct raw_config *n, struct reading *reading)
{
        for (size_t i = 0; n->hosts && i < hl_json_length(n->hosts); i++)
                if (!is_host_name(hl_json_string_at(n->hosts, i))) {
                        note(reading, "auth.allowed_hosts",
                             "must be names alone, such as \"box.lan\": no \"http://\", no port, no path, no *");
                        break;
                }
        check_origins(n->origins, reading);
        if (!is_path(c->models_dir))
                note(reading, "inference.models_dir", "must be an absolute path without blanks");
        const char *variable = getenv(MODELS_VARIABLE);
        if (variable && *variable && !is_path(variable))
                note(reading, MODELS_VARIABLE, "must be an absolute path without blanks");
        if (!is_path(c->health_path))
                note(reading, "inference.health_path", "must be a path that begins with /");
        if (!is_path(c->nginx_output))
                note(reading, "nginx.output", "must be an absolute path without blanks");
        if (!is_unit_template(c->unit_template))
                note(reading, "inference.unit_template",
                     "must be the name of a template with %s for the model, such as model@%s.service");
        if (!hl_is_address(c->upstream_host))
                note(reading, "nginx.upstream_host",
                     "must be an IP address: a name with two addresses makes NGINX try the wrong one first");
}

struct section {
        const char *key;
        const struct hl_json_field *fields;
        size_t count;
};

static void read_sections(const hl_json *document, const struct section *sections, size_t count,
                          struct reading *reading)
{
        HL_CLEANUP(hl_free_pointer) const hl_json **objects = hl_alloc(count * sizeof(*objects));
        HL_CLEANUP(hl_free_pointer) struct hl_json_field *fields = hl_alloc(count * sizeof(*fields));
        for (size_t i = 0; i < count; i++)
                fields[i] =
                        (struct hl_json_field){ .key = sections[i].key, .kind = HL_JSON_OBJECT, .out = &objects[i] };
        hl_json_read(document, "", fields, count, note, reading);
        for (size_t i = 0; i < count; i++)
                if (objects[i])
                        hl_json_read(objects[i], sections[i].key, sections[i].fields, sections[i].count, note, reading);
}

#define ACTIONS "poweroff,reboot,halt"
#define ACTION_WORDS "\"poweroff\", \"reboot\" or \"halt\""
#define MINUTES_WORDS "a number of minutes above 0 and at most 525600"
#define SECONDS_WORDS "a number of seconds from 0 to 3600"
#define MINUTES_LEAST 1e-3
#define PATH_BYTES_MAX 4000

static void read_document(struct hl_config *c, struct raw_config *n, struct reading *reading)
{
        const struct hl_json_field shutdown[] = {
                { "default_minutes", HL_JSON_NUMBER, &c->default_minutes, MINUTES_WORDS, 1.0 / 60, HL_MINUTES_MAX },
                { "default_action", HL_JSON_STRING, &c->default_action, ACTION_WORDS, .choices = ACTIONS },
        };
        const struct hl_json_field inference[] = {
                { "models_dir", HL_JSON_STRING, &c->models_dir, "an absolute path", .max = PATH_BYTES_MAX },
                { "unit_template", HL_JSON_STRING, &c->unit_template, "a template such as \"model@%s.service\"" },
                { "start_timeout_seconds", HL_JSON_INTEGER, &n->start_timeout_seconds, "a whole number from 1 to 3600",
                  1, HL_START_TIMEOUT_MAX_SECONDS },
                { "health_path", HL_JSON_STRING, &c->health_path, "a path that begins with /" },
        };
        const struct hl_json_field monitoring[] = {
                { "active_threshold_minutes", HL_JSON_NUMBER, &n->active_minutes, MINUTES_WORDS, MINUTES_LEAST,
                  HL_MINUTES_MAX },
                { "idle_threshold_minutes", HL_JSON_NUMBER, &n->idle_minutes, MINUTES_WORDS, MINUTES_LEAST,
                  HL_MINUTES_MAX },
                { "host_idle_minutes", HL_JSON_NUMBER, &n->host_idle_minutes, "null or " MINUTES_WORDS, MINUTES_LEAST,
                  HL_MINUTES_MAX, .nullable = true },
                { "host_idle_action", HL_JSON_STRING, &c->host_idle_action, ACTION_WORDS, .choices = ACTIONS },
        };
        const struct hl_json_field auth[] = {
                { "loopback", HL_JSON_STRING, &n->loopback, "\"trust\" or \"token\"", .choices = "trust,token" },
                { "models", HL_JSON_STRING, &n->models, "\"open\" or \"token\"", .choices = "open,token" },
                { "allowed_hosts", HL_JSON_STRINGS, &n->hosts, "an array of host names" },
                { "allowed_origins", HL_JSON_STRINGS, &n->origins, "an array of origins" },
        };
        const struct hl_json_field nginx[] = {
                { "output", HL_JSON_STRING, &c->nginx_output, "an absolute path", .max = PATH_BYTES_MAX },
                { "upstream_host", HL_JSON_STRING, &c->upstream_host, "an IP address" },
        };
        const struct hl_json_field capacity[] = {
                { "gpus", HL_JSON_OBJECT, &n->gpus, "null or an object such as {\"0\": \"23G\"}", .nullable = true },
                { "memory", HL_JSON_STRING, &n->memory, "null or " HL_SIZE_WORDS, .nullable = true },
                { "min_residency_seconds", HL_JSON_NUMBER, &n->min_residency_seconds, SECONDS_WORDS, 0,
                  HL_START_TIMEOUT_MAX_SECONDS },
                { "queue_seconds", HL_JSON_NUMBER, &n->queue_seconds, SECONDS_WORDS, 0, HL_START_TIMEOUT_MAX_SECONDS },
        };
        const struct section sections[] = {
                { "shutdown", shutdown, HL_COUNT(shutdown) },
                { "inference", inference, HL_COUNT(inference) },
                { "monitoring", monitoring, HL_COUNT(monitoring) },
                { "auth", auth, HL_COUNT(auth) },
                { "nginx", nginx, HL_COUNT(nginx) },
                { "capacity", capacity, HL_COUNT(capacity) },
        };
        read_sections(c->document, sections, HL_COUNT(sections), reading);
        hl_budget_read(n->gpus, n->memory, c->capacity.bytes, note, reading);
        c->capacity.is_set = hl_json_get_object(c->document, "capacity");
}

static uint64_t minutes_us(double minutes)
{
        return isnan(minutes) ? HL_USEC_INFINITY : (uint64_t)(minutes * (double)HL_USEC_PER_MINUTE);
}

static uint64_t seconds_us(double seconds)
{
        return (uint64_t)(seconds * (double)HL_USEC_PER_SEC);
}

/* NULL-terminated; the strings stay the document's. free() */
static const char **strings(const hl_json *array)
{
        size_t count = array ? hl_json_length(array) : 0;
        const char **list = hl_alloc((count + 1) * sizeof(*list));
        for (size_t i = 0; i < count; i++)
                list[i] = hl_json_string_at(array, i);
        return list;
}

static void finish(struct hl_config *c, const struct raw_config *n)
{
        const char *models_dir = getenv(MODELS_VARIABLE);
        if (models_dir && *models_dir)
                c->models_dir = models_dir;
        c->start_timeout_us = (uint64_t)n->start_timeout_seconds * HL_USEC_PER_SEC;
        c->active_threshold_us = minutes_us(n->active_minutes);
        c->idle_threshold_us = minutes_us(n->idle_minutes);
        c->host_idle_us = minutes_us(n->host_idle_minutes);
        c->capacity.min_residency_us = seconds_us(n->min_residency_seconds);
        c->capacity.queue_us = seconds_us(n->queue_seconds);
        c->trust_loopback = strcmp(n->loopback, "trust") == 0;
        c->models_need_token = strcmp(n->models, "token") == 0;
        c->allowed_hosts = strings(n->hosts);
        c->allowed_origins = strings(n->origins);
}

/* U+2018 to U+201F, a space that does not break, and colons and commas of other scripts. */
static bool is_typographic(const char *c)
{
        static const char *const marks[] = { "\xC2\xA0", "\xEF\xBC\x9A", "\xEF\xBC\x8C" };
        for (size_t i = 0; i < HL_COUNT(marks); i++)
                if (hl_has_prefix(c, marks[i]))
                        return true;
        return hl_has_prefix(c, "\xE2\x80") && (unsigned char)c[2] >= 0x98 && (unsigned char)c[2] <= 0x9F;
}

/* What people write into JSON that is none: told as such, with its line. NULL: nothing of the kind. */
static const char *find_habit(const char *text, size_t len, unsigned *ret_line)
{
        bool in_string = false;
        unsigned line = 1;
        *ret_line = line;
        if (strlen(text) < len || hl_has_prefix(text, "\xFF\xFE") || hl_has_prefix(text, "\xFE\xFF"))
                return "has bytes as UTF-16 has them: save it as UTF-8";
        text += hl_has_prefix(text, "\xEF\xBB\xBF") ? 3 : 0; /* that is told already */
        for (const char *c = text; *c; c++) {
                line += *c == '\n';
                if (in_string && *c == '\\' && c[1])
                        c++;
                else if (*c == '"')
                        in_string = !in_string;
                if (in_string)
                        continue;
                *ret_line = line;
                if (is_typographic(c))
                        return "has a typographic quote, space or colon, as web pages have them: type it anew";
                if (*c == '#' || (*c == '/' && (c[1] == '/' || c[1] == '*')))
                        return "has a comment, and JSON has none: remove it";
                const char *next = c + 1 + (*c == ',' ? strspn(c + 1, " \t\r\n") : 0);
                if (*c == ',' && (*next == '}' || *next == ']'))
                        return "has a comma too many, in front of a closing bracket: remove it";
                if (*c == '\'')
                        return "has single quotes, and JSON wants \" around names and texts";
        }
        return NULL;
}

/* Fills c from the text; findings are counted in reading. */
static void parse(struct hl_config *c, struct raw_config *n, struct reading *reading)
{
        struct hl_err bad = { 0 };
        if (hl_json_parse(reading->text->data, reading->text->len, &c->document, &bad) == 0) {
                read_document(c, n, reading);
                check_strings(c, n, reading);
                return;
        }
        reading->count++;
        if (!reading->report)
                return;
        unsigned line = 0; /* the message begins with "line N: " */
        char *rest = bad.message;
        if (hl_has_prefix(bad.message, "line "))
                line = (unsigned)strtoul(bad.message + 5, &rest, 10);
        unsigned habit_line = 0;
        const char *habit = find_habit(reading->text->data ? reading->text->data : "", reading->text->len, &habit_line);
        HL_CLEANUP(hl_free_pointer) char *message = NULL;
        if (habit && habit_line <= line)
                message = hl_format("%s: line %u %s", line ? rest + 2 : rest, habit_line, habit);
        hl_report_tell(reading->report, reading->path, line, "", message ? message : line ? rest + 2 : rest);
}

static void adopt(void *data, unsigned line, const char *name, const char *value)
{
        (void)line;
        char **models_dir = data;
        if (strcmp(name, MODELS_VARIABLE) != 0)
                return;
        free(*models_dir);
        *models_dir = hl_strdup(value);
}

void hl_config_adopt_environment(void)
{
        HL_CLEANUP(hl_free_pointer) char *models_dir = NULL;
        struct hl_buf text = { 0 };
        if (hl_read_file(AT_FDCWD, ENVIRONMENT_FILE, HL_CONFIG_SIZE_MAX, &text) == 0 && text.data)
                hl_envfile_parse(&(struct hl_envfile){ .text = text.data, .len = text.len }, adopt, &models_dir, NULL);
        hl_buf_free(&text);
        if (models_dir)
                setenv(MODELS_VARIABLE, models_dir, 0);
}

char *hl_config_units_pattern(const struct hl_config *config)
{
        const char *template = config->unit_template, *hole = strstr(template, "%s");
        return hl_format("%.*s*%s", (int)(hole - template), template, hole + 2);
}

/* Made once: json-c writes a text into the object that it is of, which threads may share. */
static char *text_of(const struct hl_config *config)
{
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, config->models_dir); /* the environment's, maybe */
        hl_buf_adds(&text, "\n");
        if (config->document)
                hl_json_print(config->document, &text);
        return text.data;
}

char *hl_config_path(void)
{
        return hl_format("%s/config.json", hl_configuration_dir());
}

int hl_config_load(const struct hl_report *report, struct hl_config *ret_config, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_config_path();
        struct hl_buf text = { 0 };
        struct reading reading = { .path = path, .text = &text, .report = report };
        struct raw_config n = { .start_timeout_seconds = 120,
                                .active_minutes = 10,
                                .idle_minutes = 30,
                                .host_idle_minutes = NAN,
                                .loopback = "trust",
                                .models = "open",
                                .gpus = NULL,
                                .memory = NULL,
                                .min_residency_seconds = 30,
                                .queue_seconds = 120 };
        struct hl_config c = {
                .default_minutes = 1,
                .default_action = "poweroff",
                .models_dir = HL_MODELS_DIR,
                .unit_template = "model@%s.service",
                .health_path = "/health",
                .host_idle_action = "poweroff",
                .nginx_output = "/var/lib/home-lab-services/nginx/models.conf",
                .upstream_host = "127.0.0.1",
        };

        int r = hl_read_file(AT_FDCWD, reading.path, HL_CONFIG_SIZE_MAX, &text);
        /* A link to what is not there, on a disk that is not mounted perhaps, is no wish for the defaults. */
        bool leads_nowhere = r == -ENOENT && hl_is_link(reading.path);
        if (r == 0) {
                hl_buf_add(&text, "", 0);
                parse(&c, &n, &reading);
        } else if (r == -ENOENT && !leads_nowhere) {
                check_strings(&c, &n, &reading);
        } else {
                reading.count++;
                hl_report_tell(report, path, 0, "", leads_nowhere ? "is a link that leads nowhere" : strerror(-r));
        }
        if (reading.count > 0) {
                hl_json_free(c.document);
                r = hl_may_pass(r) ? hl_fail(err, HL_ERR_BUSY, -r, "configuration_unreadable", "%s: %s", reading.path,
                                             strerror(-r))
                                   : hl_fail(err, HL_ERR_INTERNAL, EINVAL, "configuration_invalid",
                                             "%s is not valid: \"home-lab-services check\" says where", reading.path);
        } else {
                finish(&c, &n);
                c.text = text_of(&c);
                *ret_config = c;
                r = 0;
        }
        hl_buf_free(&text);
        return r;
}

struct hl_config hl_config_share(struct hl_config *config)
{
        config->users = hl_share(config->users);
        return *config;
}

void hl_config_free(struct hl_config *config)
{
        if (hl_unshare(config->users)) {
                free(config->allowed_hosts);
                free(config->allowed_origins);
                free(config->text);
                hl_json_free(config->document);
        }
        *config = (struct hl_config){ 0 };
}
