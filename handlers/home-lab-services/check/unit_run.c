/* SPDX-License-Identifier: MIT */
#include "unit_run.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "systemd/names.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define OURS "# home-lab-services installs this file" /* a line of it */
#define UNIT_FILE_SIZE_MAX 65536                      /* bytes */

static int get_text(struct hl_bus *bus, const char *path, const char *interface, const char *name, char *ret_text,
                    size_t size, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        int r = sd_bus_get_property_string(bus->bus, HL_SYSTEMD, path, interface, name, &error, &text);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking systemd for a unit");
        hl_copy(ret_text, size, text);
        return 0;
}

static int get_flag(struct hl_bus *bus, const char *path, const char *interface, const char *name, bool *ret_flag,
                    struct hl_err *err)
{
        int flag = 0;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        int r = sd_bus_get_property_trivial(bus->bus, HL_SYSTEMD, path, interface, name, &error, 'b', &flag);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking systemd for a unit");
        *ret_flag = flag;
        return 0;
}

static bool is_ours(const char *file)
{
        struct hl_buf text = { 0 };
        bool ours = hl_read_file(AT_FDCWD, file, UNIT_FILE_SIZE_MAX, &text) == 0 && text.data &&
                    (hl_has_prefix(text.data, OURS) || strstr(text.data, "\n" OURS));
        hl_buf_free(&text);
        return ours;
}

static int get_files(struct hl_bus *bus, const char *path, char ***ret_files, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        char **files = hl_alloc(sizeof(*files));
        const char *file;
        size_t count = 0;
        int optional;
        bus->calls++;
        int r = sd_bus_get_property(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD_SERVICE, "EnvironmentFiles", &error, &reply,
                                    "a(sb)");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(sb)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sb)", &file, &optional)) > 0) {
                files = hl_grow(files, count + 2, sizeof(*files));
                files[count++] = hl_format("%s%s", optional ? "-" : "", file);
        }
        files[count] = NULL;
        *ret_files = files;
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd for a unit") : 0;
}

static int get_texts(struct hl_bus *bus, const char *path, const char *interface, const char *name, char ***ret_texts,
                     struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        int r = sd_bus_get_property_strv(bus->bus, HL_SYSTEMD, path, interface, name, &error, ret_texts);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd for a unit") : 0;
}

static void free_texts(char **texts)
{
        for (size_t i = 0; texts && texts[i]; i++)
                free(texts[i]);
        free(texts);
}

/* The folders that a unit may write to, beside its /tmp and its user's home. */
static int get_writable(struct hl_bus *bus, const char *path, char ***ret_folders, struct hl_err *err)
{
        static const struct {
                const char *property, *parent;
        } kinds[] = { { "ReadWritePaths", "" },
                      { "RuntimeDirectory", "/run/" },
                      { "StateDirectory", "/var/lib/" },
                      { "CacheDirectory", "/var/cache/" },
                      { "LogsDirectory", "/var/log/" } };
        char **all = hl_alloc(sizeof(*all));
        size_t count = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < HL_COUNT(kinds); i++) {
                char **names = NULL;
                r = get_texts(bus, path, HL_SYSTEMD_SERVICE, kinds[i].property, &names, err);
                for (char **name = names; name && *name; name++) {
                        all = hl_grow(all, count + 2, sizeof(*all));
                        all[count++] = hl_format("%s%s", kinds[i].parent, *name + strspn(*name, "-+"));
                        all[count] = NULL;
                }
                free_texts(names);
        }
        *ret_folders = all;
        return r;
}

void hl_unit_run_free(struct hl_unit_run *run)
{
        free_texts(run->environment);
        free_texts(run->files);
        free_texts(run->drop_ins);
        free_texts(run->writable);
        *run = (struct hl_unit_run){ 0 };
}

int hl_unit_run_read(struct hl_bus *bus, const char *unit, struct hl_unit_run *ret_run, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        struct hl_unit_run run = { 0 };
        char file[PATH_MAX] = "", protect[16] = "";
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        if (r < 0)
                return hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, unit);
        r = get_text(bus, path, HL_SYSTEMD_UNIT, "FragmentPath", file, sizeof(file), err);
        if (r == 0)
                r = get_text(bus, path, HL_SYSTEMD_UNIT, "LoadState", run.load_state, sizeof(run.load_state), err);
        if (r == 0)
                r = get_flag(bus, path, HL_SYSTEMD_UNIT, "NeedDaemonReload", &run.needs_reload, err);
        if (r == 0)
                r = get_texts(bus, path, HL_SYSTEMD_UNIT, "DropInPaths", &run.drop_ins, err);
        if (r == 0)
                r = get_text(bus, path, HL_SYSTEMD_SERVICE, "User", run.user, sizeof(run.user), err);
        if (r == 0)
                r = get_text(bus, path, HL_SYSTEMD_SERVICE, "WorkingDirectory", run.directory, sizeof(run.directory),
                             err);
        if (r == 0)
                r = get_flag(bus, path, HL_SYSTEMD_SERVICE, "NoNewPrivileges", &run.no_new_privileges, err);
        if (r == 0)
                r = get_flag(bus, path, HL_SYSTEMD_SERVICE, "PrivateTmp", &run.private_tmp, err);
        if (r == 0)
                r = get_text(bus, path, HL_SYSTEMD_SERVICE, "ProtectSystem", protect, sizeof(protect), err);
        if (r == 0)
                r = get_writable(bus, path, &run.writable, err);
        if (r == 0)
                r = get_texts(bus, path, HL_SYSTEMD_SERVICE, "Environment", &run.environment, err);
        if (r == 0)
                r = get_files(bus, path, &run.files, err);
        if (r < 0) {
                hl_unit_run_free(&run);
                return r;
        }
        run.is_ours = is_ours(file);
        run.is_strict = strcmp(protect, "strict") == 0;
        *ret_run = run;
        return 0;
}
