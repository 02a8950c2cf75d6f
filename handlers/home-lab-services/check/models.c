/* SPDX-License-Identifier: MIT */
/* The part of check.c that looks at models: their files, names and ports, and units without a file. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "check.h"
#include "home-lab-services/product.h"
#include "models/cause.h"
#include "models/states.h"
#include "models/strays.h"
#include "parts.h"
#include "systemd/units.h"
#include "unit_run.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES_SIZE_MAX (256 * 1024) /* bytes */
#define FIRST_FREE_PORT 1024        /* below, only root may listen */
#define SWEEP_SECONDS 60            /* model-idle-sweep.timer */

/* ---- ports ---- */

static void check_ports(struct hl_check *c, const struct hl_catalog *catalog, size_t i)
{
        const struct hl_model *model = &catalog->models[i];
        const char *socket = hl_product_socket_of(model->port);
        if (model->port == 0)
                return;
        if (socket)
                hl_check_problem(c, "%s: PORT %u is that of %s: give the model another", model->file_path, model->port,
                                 socket);
        if (model->port < FIRST_FREE_PORT)
                hl_check_problem(c, "%s: PORT %u is root's, as all below %d: give the model one above, in COMMAND too",
                                 model->file_path, model->port, FIRST_FREE_PORT);
        for (size_t j = 0; j < i; j++)
                if (model->port == catalog->models[j].port)
                        hl_check_problem(c, "%s: PORT %u is also %s's: give each model its own", model->file_path,
                                         model->port, catalog->models[j].name);
}

/* ---- who reads the file ---- */

/* The services are not all: NGINX's locations are made by another user. */
static void check_reader_of_nginx(struct hl_check *c, const struct hl_model *model)
{
        struct stat status;
        if (model->read_error == 0 && hl_check_has_nginx_site() && stat(model->file_path, &status) == 0 &&
            !(status.st_mode & 004))
                hl_check_problem(c,
                                 "%s: nginx-config-updater cannot read it, so NGINX has no location for it: chmod 0644 "
                                 "%s; secrets belong into the model's unit (systemctl edit %s: "
                                 "EnvironmentFile= with a file of root's, or LoadCredential=)",
                                 model->file_path, model->file_path, model->unit);
}

/* ---- names ---- */

/* Port 5002 has paths of its own where the names of models stand. */
static void check_name(struct hl_check *c, const struct hl_model *model)
{
        static const char taken[] = "load,unload,running";
        if (hl_in_list(taken, model->name, strlen(model->name)))
                hl_check_problem(c,
                                 "%s: /models/%s is a path of port 5002's own, so this model cannot be asked about "
                                 "there: give the file another name",
                                 model->file_path, model->name);
}

/* What a path behind the site, or /models/ of a service, means already. */
static void note_name(struct hl_check *c, const struct hl_model *model)
{
        static const char *const of_site[] = { "api", "v1", "models" };
        static const char *const of_services[] = { "active", "idle", "activity" };
        static const char *const endings[] = { ".conf", ".bak",       ".orig",     ".old",       ".txt",     ".env",
                                               ".save", ".dpkg-old",  ".dpkg-new", ".dpkg-dist", ".ucf-old", ".rpmsave",
                                               ".tmp",  ".disabled",  ".ini",      ".yaml",      ".yml",     ".json",
                                               ".toml", ".service",   ".sh",       ".md",        ".off",     ".rej",
                                               ".part", ".crdownload" };
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        const char *name = model->name;
        size_t len = strlen(name);
        for (size_t i = 0; i < HL_COUNT(of_site); i++)
                if (strcmp(name, of_site[i]) == 0)
                        text = hl_format(
                                "%s: /%s/ is the site's own path, so NGINX reaches this model by /v1/ alone: mv %s "
                                "to another name",
                                model->file_path, name, model->file_path);
        for (size_t i = 0; i < HL_COUNT(of_services) && !text; i++)
                if (strcmp(name, of_services[i]) == 0)
                        text = hl_format(
                                "%s: /models/%s means something else to port 5003, so it cannot be asked about "
                                "this model: mv %s to another name",
                                model->file_path, name, model->file_path);
        for (size_t i = 0; i < HL_COUNT(endings) && !text; i++)
                if (len > strlen(endings[i]) && strcmp(name + len - strlen(endings[i]), endings[i]) == 0)
                        text = hl_format(
                                "%s is a model called \"%s\", with all of its ending: mv %s to the name that you "
                                "mean, or out of this folder",
                                model->file_path, name, model->file_path);
        if (text)
                hl_check_note(c, "%s", text);
}

/* A number alone, as llama-swap and Ollama write it, is seconds here, too; minutes may be meant. */
static void note_idle_timeout(struct hl_check *c, const struct hl_model *model)
{
        if (model->idle_timeout_us >= SWEEP_SECONDS * HL_USEC_PER_SEC ||
            model->idle_timeout_us == c->config.idle_threshold_us)
                return;
        hl_check_note(c,
                      "%s: IDLE_TIMEOUT is less than a minute, and models are looked at once a minute: write 30min for "
                      "minutes",
                      model->file_path);
}

/* ---- what is no file ---- */

static void note_folders(struct hl_check *c)
{
        DIR *dir = opendir(c->config.models_dir);
        const struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
                struct stat status;
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                    fstatat(dirfd(dir), entry->d_name, &status, 0) < 0 || !S_ISDIR(status.st_mode))
                        continue;
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", c->config.models_dir, entry->d_name);
                hl_make_printable(path);
                HL_CLEANUP(hl_free_pointer)
                char *text = hl_format("%s: folders are not read, and names of models have no /: mv its files to %s",
                                       path, c->config.models_dir);
                hl_check_note(c, "%s", text);
        }
        if (dir)
                closedir(dir);
}

/* ---- units ---- */

struct strays {
        const struct hl_config *config;
        void (*each)(void *data, const char *sentence);
        void *data;
};

static void tell_stray(void *data, const char *unit)
{
        const struct strays *s = data;
        HL_CLEANUP(hl_free_pointer)
        char *text = hl_format("%s runs, but has no file in %s, so nobody stops it: systemctl stop %s", unit,
                               s->config->models_dir, unit);
        s->each(s->data, text);
}

void hl_check_strays(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                     void (*each)(void *data, const char *sentence), void *data)
{
        struct strays strays = { .config = config, .each = each, .data = data };
        struct hl_err ignored = { 0 };
        hl_strays(bus, config, catalog, tell_stray, &strays, &ignored);
}

static void note_stray(void *data, const char *sentence)
{
        hl_check_note(data, "%s", sentence);
}

/* What was enabled, and whose file is gone since: it fails at each boot. */
static void note_enabled(struct hl_check *c, const struct hl_catalog *catalog)
{
        HL_CLEANUP(hl_free_pointer) char *units = hl_config_units_pattern(&c->config);
        HL_CLEANUP(hl_free_pointer) char *links = hl_format("/etc/systemd/system/*.wants/%s", units);
        glob_t found = { 0 };
        glob(links, 0, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                const char *unit = strrchr(found.gl_pathv[i], '/') + 1;
                bool has_file = false;
                for (size_t k = 0; k < catalog->count; k++)
                        has_file |= strcmp(catalog->models[k].unit, unit) == 0;
                HL_CLEANUP(hl_free_pointer)
                char *text = hl_format("%s is started at boot, and has no file in %s: systemctl disable %s", unit,
                                       c->config.models_dir, unit);
                hl_make_printable(text);
                if (!has_file)
                        hl_check_note(c, "%s", text);
        }
        globfree(&found);
}

static void note_state(struct hl_check *c, const struct hl_model *model, enum hl_unit_state active)
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        char cause[HL_CAUSE_SIZE];
        if (active == HL_UNIT_INACTIVE || hl_units_detail(&c->bus, model->unit, &detail, &ignored) < 0)
                return;
        if (active == HL_UNIT_FAILED) {
                HL_CLEANUP(hl_free_pointer) char *how = hl_units_describe(&detail);
                text = hl_format("%s has failed (%s): journalctl -u %s", model->unit, how, model->unit);
        } else if (active == HL_UNIT_ACTIVE && model->port &&
                   detail.active_since_monotonic_us + model->start_timeout_us < hl_clock_monotonic() &&
                   hl_cause_of_state(&c->bus, model, active, cause) == HL_MODEL_LOADING) {
                text = hl_format("%s runs for longer than its START_TIMEOUT, and is not ready: %s; journalctl -u %s",
                                 model->unit, cause, model->unit);
        }
        if (text)
                hl_check_note(c, "%s", text);
}

/* What runs, or does not, though its file is right. */
static void note_units(struct hl_check *c, const struct hl_catalog *catalog)
{
        struct hl_err ignored = { 0 };
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc((catalog->count + 1) * sizeof(*states));
        hl_check_strays(&c->bus, &c->config, catalog, note_stray, c);
        if (hl_states_read(&c->bus, &c->config, catalog, states, &ignored) < 0)
                return;
        for (size_t i = 0; i < catalog->count; i++)
                note_state(c, &catalog->models[i], states[i]);
}

void hl_check_models(struct hl_check *c, const struct hl_catalog *catalog)
{
        c->cause = CAUSE_PERMISSIONS;
        hl_check_owned_by_root(c, c->config.models_dir);
        for (size_t i = 0; i < catalog->count; i++)
                hl_check_owned_by_root(c, catalog->models[i].file_path);
        c->cause = CAUSE_MODELS;
        for (size_t i = 0; i < catalog->count; i++) {
                check_name(c, &catalog->models[i]);
                check_ports(c, catalog, i);
        }
        for (size_t i = 0; i < catalog->count; i++)
                check_reader_of_nginx(c, &catalog->models[i]);
        for (size_t i = 0; i < catalog->count; i++) {
                note_name(c, &catalog->models[i]);
                note_idle_timeout(c, &catalog->models[i]);
        }
        note_folders(c);
        note_enabled(c, catalog);
        note_units(c, catalog);
}

/* ---- units of one's own ---- */

/* Whether one of polkit's rules names the units. -1: that cannot be seen. */
static int is_in_rules(const char *folder, const char *name)
{
        DIR *dir = opendir(folder);
        const struct dirent *entry;
        int found = dir || errno == ENOENT ? 0 : -1;
        while (dir && found == 0 && (entry = readdir(dir))) {
                struct hl_buf text = { 0 };
                if (hl_read_file(dirfd(dir), entry->d_name, RULES_SIZE_MAX, &text) == 0 && text.data &&
                    strstr(text.data, name))
                        found = 1;
                hl_buf_free(&text);
        }
        if (dir)
                closedir(dir);
        return found;
}

void hl_check_template(struct hl_check *c)
{
        const char *template = c->config.unit_template;
        if (!template || strcmp(template, "model@%s.service") == 0)
                return;
        const char *hole = strstr(template, "%s");
        HL_CLEANUP(hl_free_pointer)
        char *name = hole == template ? hl_strdup(hole + 2) : hl_strndup(template, (size_t)(hole - template));
        int own = is_in_rules("/etc/polkit-1/rules.d", name), usual = is_in_rules("/usr/share/polkit-1/rules.d", name);
        c->cause = CAUSE_PERMISSIONS;
        if (own == 0 && usual == 0)
                hl_check_problem(c,
                                 "unit_template is \"%s\", and no rule in /etc/polkit-1/rules.d names \"%s\", so the "
                                 "services may start none: copy 60-home-lab-services.rules there to "
                                 "50-my-models.rules, and change \"models\" in it",
                                 template, name);
}
