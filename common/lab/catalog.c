#include "catalog.h"

#include "aliases.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "envfile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool hl_model_name_valid(const char *name)
{
        size_t len = 0;
        if (!isalnum((unsigned char)name[0]))
                return false;
        for (; name[len]; len++)
                if (!isalnum((unsigned char)name[len]) && !strchr("._:-", name[len]))
                        return false;
        return len <= HL_MODEL_NAME_MAX;
}

/* One reading of a model's file. */
struct reading {
        struct hl_model *model;
        const char *file;
        hl_finding_fn *finding;
        void *data;
};

static void tell(const struct reading *reading, unsigned line, const char *key, const char *message)
{
        if (reading->finding)
                reading->finding(reading->data, reading->file, line, key, message);
}

static void set_port(struct reading *reading, unsigned line, const char *value)
{
        uint64_t port = 0;
        if (hl_parse_uint(value, 65535, &port) < 0 || port == 0) {
                tell(reading, line, "PORT", "must be a port number from 1 to 65535");
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

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        struct reading *reading = data;
        struct hl_model *model = reading->model;
        uint64_t span;
        if (strcmp(name, "PORT") == 0) {
                set_port(reading, line, value);
        } else if (strcmp(name, "HEALTH_PATH") == 0) {
                if (is_url_path(value)) {
                        free(model->health_path);
                        model->health_path = hl_strdup(value);
                } else {
                        tell(reading, line, name, "must be a path that begins with /");
                }
        } else if (strcmp(name, "IDLE_TIMEOUT") == 0) {
                bool never = strcmp(value, "never") == 0 || strcmp(value, "infinity") == 0; /* systemd's own word */
                if (never || (hl_parse_timespan(value, &span) == 0 && span > 0))
                        model->idle_timeout_us = never ? HL_NEVER : span;
                else
                        tell(reading, line, name, "must be a time span such as \"45min\", or \"never\"");
        } else if (strcmp(name, "START_TIMEOUT") == 0) {
                if (hl_parse_timespan(value, &span) == 0 && span >= HL_USEC_PER_SEC &&
                    span <= HL_START_TIMEOUT_MAX_SECONDS * HL_USEC_PER_SEC)
                        model->start_timeout_us = span;
                else
                        tell(reading, line, name, "must be a time span from 1s to 1h");
        } else if (strcmp(name, "ALIASES") == 0) {
                hl_aliases_read(model, line, value, reading->finding, reading->data);
        }
}

static void read_model(int dir_fd, const struct hl_config *config, struct hl_model *model, hl_finding_fn *finding,
                       void *data)
{
        struct reading reading = { .model = model, .file = model->file_path, .finding = finding, .data = data };
        struct hl_buf text = { 0 };
        model->health_path = hl_strdup(config->health_path);
        model->idle_timeout_us = 0; /* not said */
        model->start_timeout_us = config->start_timeout_us;

        int r = hl_read_file(dir_fd, model->name, HL_MODEL_FILE_SIZE_MAX, &text);
        if (r < 0)
                tell(&reading, 0, "", r == -EFBIG ? "is longer than 65536 bytes" : strerror(-r));
        else
                hl_envfile_parse(text.data ? text.data : "", text.len, assign, &reading, model->file_path, finding,
                                 data);
        if (r == 0 && model->port == 0 && (!text.data || !strstr(text.data, "PORT")))
                tell(&reading, 0, "PORT", "is missing: without it the model cannot be reached");
        if (model->idle_timeout_us == 0) /* without a port nobody can see whether it is in use: it may be, always */
                model->idle_timeout_us = model->port ? config->idle_threshold_us : HL_NEVER;
        hl_buf_free(&text);
}

static char *unit_name(const char *template, const char *model)
{
        const char *hole = strstr(template, "%s"); /* one, as config.c made sure of */
        return hl_format("%.*s%s%s", (int)(hole - template), template, model, hole + 2);
}

/* What a name leads to, as in st_mode; 0: nowhere. A named pipe, above all, must never become a model: systemd would
 * wait at its EnvironmentFile= for ever. -errno: it cannot be told. */
static int find_type(int dir_fd, const char *name, mode_t *ret_type)
{
        struct stat status = { 0 };
        if (fstatat(dir_fd, name, &status, 0) < 0 && errno != ENOENT && errno != ELOOP && errno != EACCES)
                return -errno;
        *ret_type = status.st_mode & S_IFMT;
        return 0;
}

static void skip(const struct hl_config *config, const char *name, const char *why, hl_finding_fn *finding, void *data)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", config->models_dir, name);
        hl_make_printable(path);
        if (finding)
                finding(data, path, 0, "", why);
}

static void add_model(struct hl_catalog *catalog, int dir_fd, const struct hl_config *config, const char *name,
                      hl_finding_fn *finding, void *data)
{
        catalog->models = hl_grow(catalog->models, catalog->count + 1, sizeof(*catalog->models));
        struct hl_model *model = &catalog->models[catalog->count++];
        *model = (struct hl_model){ .file_path = hl_format("%s/%s", config->models_dir, name),
                                    .unit = unit_name(config->unit_template, name) };
        memcpy(model->name, name, strlen(name) + 1);
        read_model(dir_fd, config, model, finding, data);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct hl_model *)a)->name, ((const struct hl_model *)b)->name);
}

static void close_dir(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

static void take(struct hl_catalog *catalog, int dir_fd, const struct hl_config *config, const char *name, mode_t type,
                 hl_finding_fn *finding, void *data)
{
        if (!hl_model_name_valid(name))
                skip(config, name,
                     "is skipped: a model's name is letters, digits and . _ : - and begins with a letter or digit",
                     finding, data);
        else if (type != S_IFREG)
                skip(config, name, "is skipped: it is no regular file", finding, data);
        else if (catalog->count == HL_CATALOG_MAX)
                skip(config, name, "is skipped: there are more than 10000 models", finding, data);
        else
                add_model(catalog, dir_fd, config, name, finding, data);
}

/* 0, or -errno where it is not known what models there are: then there are not none. */
static int read_folder(DIR *dir, const struct hl_config *config, const char *only, hl_finding_fn *finding, void *data,
                       struct hl_catalog *catalog)
{
        const struct dirent *entry;
        while (errno = 0, entry = readdir(dir)) {
                const char *name = entry->d_name;
                mode_t type = 0;
                if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (only && strcmp(name, only) != 0))
                        continue;
                int r = find_type(dirfd(dir), name, &type);
                if (r < 0)
                        return r;
                if (type != S_IFDIR)
                        take(catalog, dirfd(dir), config, name, type, finding, data);
        }
        return -errno;
}

int hl_catalog_load(const struct hl_config *config, const char *only, hl_finding_fn *finding, void *data,
                    struct hl_catalog *ret_catalog, struct hl_err *err)
{
        struct hl_catalog catalog = { 0 };
        HL_CLEANUP(close_dir) DIR *dir = opendir(config->models_dir);
        int r = dir ? read_folder(dir, config, only, finding, data, &catalog) : -errno;
        /* Ours is where nobody has models yet. One that was chosen may be on a disk that is not there now. */
        if (r < 0 && (dir || r != -ENOENT || strcmp(config->models_dir, HL_MODELS_DIR) != 0)) {
                hl_catalog_free(&catalog);
                return hl_fail(err, HL_ERR_INTERNAL, -r, "models_unreadable", "%s: %s", config->models_dir,
                               strerror(-r));
        }
        if (catalog.count > 0)
                qsort(catalog.models, catalog.count, sizeof(*catalog.models), by_name);
        if (!only)
                hl_aliases_settle(&catalog, finding, data);
        *ret_catalog = catalog;
        return 0;
}

static bool has_alias(const struct hl_model *model, const char *alias)
{
        for (char **a = model->aliases; a && *a; a++)
                if (strcmp(*a, alias) == 0)
                        return true;
        return false;
}

int hl_catalog_load_named(const struct hl_config *config, const char *name_or_alias, struct hl_catalog *ret_catalog,
                          struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog all = { 0 };
        struct hl_catalog one = { 0 };
        int r = hl_model_name_valid(name_or_alias) ? hl_catalog_load(config, name_or_alias, NULL, NULL, &one, err) : 0;
        if (r == 0 && one.count == 0 && hl_alias_valid(name_or_alias))
                r = hl_catalog_load(config, NULL, NULL, NULL, &all, err);
        if (r < 0)
                return r;
        const struct hl_model *found = hl_catalog_find_named(&all, name_or_alias);
        if (found) {
                struct hl_model *model = &all.models[found - all.models];
                one = (struct hl_catalog){ .models = hl_alloc(sizeof(*one.models)), .count = 1 };
                one.models[0] = *model;
                *model = (struct hl_model){ 0 }; /* handed over */
        }
        *ret_catalog = one;
        return 0;
}

void hl_catalog_free(struct hl_catalog *catalog)
{
        for (size_t i = 0; i < catalog->count; i++) {
                free(catalog->models[i].file_path);
                free(catalog->models[i].unit);
                free(catalog->models[i].health_path);
                hl_aliases_free(&catalog->models[i]);
        }
        free(catalog->models);
        *catalog = (struct hl_catalog){ 0 };
}

const struct hl_model *hl_catalog_find(const struct hl_catalog *catalog, const char *name)
{
        for (size_t i = 0; i < catalog->count; i++)
                if (strcmp(catalog->models[i].name, name) == 0)
                        return &catalog->models[i];
        return NULL;
}

const struct hl_model *hl_catalog_find_named(const struct hl_catalog *catalog, const char *name_or_alias)
{
        const struct hl_model *model = hl_catalog_find(catalog, name_or_alias);
        for (size_t i = 0; i < catalog->count && !model; i++)
                if (has_alias(&catalog->models[i], name_or_alias))
                        model = &catalog->models[i];
        return model;
}
