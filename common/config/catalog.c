/* SPDX-License-Identifier: MIT */
#include "catalog.h"

#include "aliases.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "model_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

char *hl_model_unit_name(const struct hl_config *config, const char *model)
{
        const char *template = config->unit_template,
                   *hole = strstr(template, "%s"); /* one, as config.c made sure of */
        return hl_format("%.*s%s%s", (int)(hole - template), template, model, hole + 2);
}

/* What a name leads to, as in st_mode; 0: nowhere. A named pipe, above all, must never become a model: systemd would
 * wait at its EnvironmentFile= for ever. What we may not look at is taken for a file: reading it will say so.
 * -errno: it cannot be told. */
static int look_at(int dir_fd, const char *name, struct stat *ret_status)
{
        struct stat status = { 0 };
        if (fstatat(dir_fd, name, &status, 0) < 0 && errno == EACCES)
                status.st_mode = S_IFREG;
        else if (status.st_mode == 0 && errno != ENOENT && errno != ELOOP)
                return -errno;
        status.st_mode &= S_IFMT;
        *ret_status = status;
        return 0;
}

static void skip(const struct hl_config *config, const char *name, const char *why, const struct hl_report *report)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", config->models_dir, name);
        hl_make_printable(path);
        hl_report_tell(report, path, 0, "", why);
}

struct hl_model hl_model_copy(const struct hl_model *model)
{
        struct hl_model copy = *model;
        copy.file_path = hl_strdup(model->file_path);
        copy.unit = hl_strdup(model->unit);
        copy.health_path = hl_strdup(model->health_path);
        copy.port_error = hl_strdup(model->port_error);
        copy.aliases = hl_aliases_copy(model);
        copy.claim = hl_claim_copy(&model->claim);
        return copy;
}

void hl_model_free(struct hl_model *model)
{
        free(model->file_path);
        free(model->unit);
        free(model->health_path);
        free(model->port_error);
        hl_aliases_free(model);
        hl_claim_free(&model->claim);
}

/* 0, or -errno where its file cannot be read now. One that was removed as we looked is not there. */
static int add_model(struct hl_catalog *catalog, int dir_fd, const struct hl_config *config, const char *name,
                     const struct stat *status, const struct hl_report *report)
{
        catalog->models = hl_grow(catalog->models, catalog->count + 1, sizeof(*catalog->models));
        struct hl_model *model = &catalog->models[catalog->count++];
        *model = (struct hl_model){ .file_path = hl_format("%s/%s", config->models_dir, name),
                                    .unit = hl_model_unit_name(config, name),
                                    .changed_us = hl_timespec_us(status->st_mtim) };
        memcpy(model->name, name, strlen(name) + 1);
        int r = hl_model_file_read(dir_fd, config, model, report);
        if (r == 0)
                return 0;
        hl_model_free(model);
        catalog->count--;
        return r == -ENOENT ? 0 : r;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct hl_model *)a)->name, ((const struct hl_model *)b)->name);
}

static int take(struct hl_catalog *catalog, int dir_fd, const struct hl_config *config, const char *name,
                const struct stat *status, const struct hl_report *report)
{
        if (!hl_model_name_valid(name))
                skip(config, name,
                     "is skipped: a model's name is letters, digits and . _ : - and begins with a letter or digit",
                     report);
        else if (status->st_mode != S_IFREG)
                skip(config, name, "is skipped: it is no regular file", report);
        else if (catalog->count == HL_CATALOG_MAX)
                skip(config, name, "is skipped: there are more than 10000 models", report);
        else
                return add_model(catalog, dir_fd, config, name, status, report);
        return 0;
}

/* 0, or -errno where it is not known what models there are: then there are not none. */
static int read_folder(DIR *dir, const struct hl_config *config, const struct hl_report *report,
                       struct hl_catalog *catalog)
{
        const struct dirent *entry;
        while (errno = 0, entry = readdir(dir)) {
                const char *name = entry->d_name;
                struct stat status;
                if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                        continue;
                int r = look_at(dirfd(dir), name, &status);
                if (r == 0 && status.st_mode != S_IFDIR)
                        r = take(catalog, dirfd(dir), config, name, &status, report);
                if (r < 0)
                        return r;
        }
        return -errno;
}

/* However many others there are. */
static int read_one(DIR *dir, const struct hl_config *config, const char *name, const struct hl_report *report,
                    struct hl_catalog *catalog)
{
        struct stat status = { 0 };
        int r = hl_model_name_valid(name) ? look_at(dirfd(dir), name, &status) : 0;
        bool is_there = status.st_mode != 0 && status.st_mode != S_IFDIR;
        return r == 0 && is_there ? take(catalog, dirfd(dir), config, name, &status, report) : r;
}

static int read_models(DIR *dir, const struct hl_config *config, const char *only, const struct hl_report *report,
                       struct hl_catalog *catalog)
{
        return only ? read_one(dir, config, only, report, catalog) : read_folder(dir, config, report, catalog);
}

struct noted {
        const struct hl_report *report;
        struct hl_catalog *catalog;
};

static void note(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        const struct noted *noted = data;
        noted->catalog->is_valid = false;
        hl_report_tell(noted->report, file, line, key, message);
}

int hl_catalog_load(const struct hl_config *config, const char *only, const struct hl_report *report,
                    struct hl_catalog *ret_catalog, struct hl_err *err)
{
        struct hl_catalog catalog = { .is_valid = true };
        struct noted noted = { report, &catalog };
        const struct hl_report noting = { note, &noted };
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(config->models_dir);
        int r = dir ? read_models(dir, config, only, &noting, &catalog) : -errno;
        /* Ours is where nobody has models yet. One that was chosen may be on a disk that is not there now. */
        if (r < 0 && (dir || r != -ENOENT || strcmp(config->models_dir, HL_MODELS_DIR) != 0)) {
                hl_catalog_free(&catalog);
                return hl_fail(err, hl_may_pass(r) ? HL_ERR_BUSY : HL_ERR_INTERNAL, -r, "models_unreadable", "%s: %s",
                               config->models_dir, strerror(-r));
        }
        if (catalog.count > 0)
                qsort(catalog.models, catalog.count, sizeof(*catalog.models), by_name);
        if (!only)
                hl_aliases_settle(&catalog, &noting);
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
        HL_CLEANUP(hl_free_pointer) char *name = hl_catalog_trim(name_or_alias);
        struct hl_catalog one = { 0 };
        int r = name && hl_model_name_valid(name) ? hl_catalog_load(config, name, NULL, &one, err) : 0;
        if (r == 0 && one.count == 0 && name)
                r = hl_catalog_load(config, NULL, NULL, &all, err);
        if (r < 0)
                return r;
        const struct hl_model *found = name ? hl_catalog_find_meant(&all, name) : NULL;
        if (found) {
                struct hl_model *model = &all.models[found - all.models];
                one = (struct hl_catalog){ .models = hl_alloc(sizeof(*one.models)), .count = 1 };
                one.models[0] = *model;
                *model = (struct hl_model){ 0 }; /* handed over */
        }
        *ret_catalog = one;
        return 0;
}

struct hl_catalog hl_catalog_share(struct hl_catalog *catalog)
{
        catalog->users = hl_share(catalog->users);
        return *catalog;
}

void hl_catalog_free(struct hl_catalog *catalog)
{
        if (hl_unshare(catalog->users)) {
                for (size_t i = 0; i < catalog->count; i++)
                        hl_model_free(&catalog->models[i]);
                free(catalog->models);
        }
        *catalog = (struct hl_catalog){ 0 };
}

int hl_fail_no_model(const char *name, const char *list, struct hl_err *err)
{
        return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "model_not_found",
                       "there is no model \"%.200s\": GET %s lists those that are", name, list);
}

const struct hl_model *hl_catalog_find_named(const struct hl_catalog *catalog, const char *name_or_alias)
{
        for (size_t i = 0; i < catalog->count; i++)
                if (strcmp(catalog->models[i].name, name_or_alias) == 0)
                        return &catalog->models[i];
        for (size_t i = 0; i < catalog->count; i++)
                if (has_alias(&catalog->models[i], name_or_alias))
                        return &catalog->models[i];
        return NULL;
}
