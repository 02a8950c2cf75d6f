/* SPDX-License-Identifier: MIT */
#include "cgroups.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define FOLDERS_MAX 20000            /* of a tree that is looked through */
#define FILE_SIZE_MAX (64 * 1024)    /* bytes */
#define SYSTEM_SLICE "/system.slice" /* where units are, unless their Slice= says otherwise */

/* Of older hosts, which have both kinds of hierarchies, the unified one stands aside. NULL: there is none. */
static const char *root(void)
{
        static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        const char *folder = getenv("HL_CGROUP_ROOT");
        if (folder && *folder == '/')
                return folder;
        for (size_t i = 0; i < HL_COUNT(places); i++) {
                struct statfs status;
                if (statfs(places[i], &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
                        return places[i];
        }
        return NULL;
}

/* A place below it; NULL: there is none. free() */
static char *below_root(const char *path)
{
        const char *folder = root();
        return folder ? hl_format("%s%s", folder, path) : NULL;
}

/* Told each folder below one, with its path; says whether that was what was looked for. */
typedef bool visit_fn(void *data, const char *path, const char *name, uint64_t number);

/* True once visit has said so. */
static bool walk(const char *path, unsigned *left, visit_fn *visit, void *data)
{
        HL_CLEANUP(hl_free_pointer) char *folder = below_root(path);
        DIR *dir = folder ? opendir(folder) : NULL;
        const struct dirent *entry;
        bool found = false;
        while (dir && !found && *left > 0 && (entry = readdir(dir))) {
                if (entry->d_type != DT_DIR || *entry->d_name == '.')
                        continue;
                HL_CLEANUP(hl_free_pointer) char *below = hl_format("%s/%s", path, entry->d_name);
                --*left;
                found = visit(data, below, entry->d_name, entry->d_ino) || walk(below, left, visit, data);
        }
        if (dir)
                closedir(dir);
        return found;
}

struct search {
        uint64_t number;  /* this one, */
        const char *name; /* or one of this name */
        char *path;
};

static bool is_it(void *data, const char *path, const char *name, uint64_t number)
{
        struct search *search = data;
        if (search->name ? strcmp(search->name, name) != 0 : search->number != number)
                return false;
        search->path = hl_strdup(path);
        return true;
}

static char *look_for(struct search search)
{
        unsigned left = FOLDERS_MAX;
        walk("", &left, is_it, &search);
        return search.path;
}

static bool is_folder(const char *path, uint64_t *ret_number)
{
        HL_CLEANUP(hl_free_pointer) char *folder = below_root(path);
        struct stat status;
        if (!folder || stat(folder, &status) < 0 || !S_ISDIR(status.st_mode))
                return false;
        *ret_number = status.st_ino;
        return true;
}

/* Where systemd puts the instances of a template, "model@x.service": in a slice of the template's. */
static char *usual_path(const char *unit)
{
        const char *at = strchr(unit, '@');
        if (!at)
                return hl_format(SYSTEM_SLICE "/%s", unit);
        struct hl_buf path = { 0 };
        hl_buf_adds(&path, SYSTEM_SLICE "/system-");
        for (const char *p = unit; p < at; p++)
                hl_buf_addf(&path, *p == '-' ? "\\x2d" : "%c", *p);
        hl_buf_addf(&path, ".slice/%s", unit);
        return path.data;
}

static bool add_number(void *data, const char *path, const char *name, uint64_t number)
{
        (void)path;
        (void)name;
        struct hl_cgroups *groups = data;
        groups->numbers[groups->count++] = number;
        return groups->count == HL_CGROUPS_OF_UNIT_MAX;
}

void hl_cgroups_of_unit(const char *unit, struct hl_cgroups *ret_groups)
{
        uint64_t number = 0;
        HL_CLEANUP(hl_free_pointer) char *path = usual_path(unit);
        *ret_groups = (struct hl_cgroups){ 0 };
        if (!is_folder(path, &number)) {
                free(path);
                path = look_for((struct search){ .name = unit });
        }
        if (!path || !is_folder(path, &number))
                return;
        unsigned left = FOLDERS_MAX;
        add_number(ret_groups, path, unit, number);
        walk(path, &left, add_number, ret_groups);
        ret_groups->path = hl_steal(path);
}

void hl_cgroups_free(struct hl_cgroups *groups)
{
        free(hl_steal(groups->path));
}

bool hl_cgroups_have(const struct hl_cgroups *groups, uint64_t number)
{
        for (size_t i = 0; i < groups->count; i++)
                if (groups->numbers[i] == number)
                        return true;
        return false;
}

bool hl_cgroups_is_below(const char *path, uint64_t number)
{
        struct search search = { .number = number };
        unsigned left = FOLDERS_MAX;
        bool found = walk(path, &left, is_it, &search);
        free(search.path);
        return found;
}

char *hl_cgroups_path(uint64_t number)
{
        return look_for((struct search){ .number = number });
}

static bool ends_with(const char *text, size_t len, const char *end)
{
        size_t end_len = strlen(end);
        return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

char *hl_cgroups_unit(const char *path)
{
        const char *unit = NULL;
        size_t unit_len = 0;
        for (const char *part = path; *part;) {
                part += strspn(part, "/");
                size_t len = strcspn(part, "/");
                if (ends_with(part, len, ".service") || ends_with(part, len, ".scope")) {
                        unit = part;
                        unit_len = len;
                }
                part += len;
        }
        return unit ? hl_strndup(unit, unit_len) : NULL;
}

char *hl_cgroups_read(const char *path, const char *file)
{
        HL_CLEANUP(hl_free_pointer) char *folder = below_root(path);
        HL_CLEANUP(hl_free_pointer) char *name = hl_format("%s/%s", folder ? folder : "", file);
        struct hl_buf text = { .max = FILE_SIZE_MAX };
        if (!folder || hl_read_file(AT_FDCWD, name, FILE_SIZE_MAX, &text) < 0)
                hl_buf_free(&text);
        return text.data;
}

struct processes {
        hl_cgroups_process_fn *each;
        void *data;
};

static bool tell_processes(void *data, const char *path, const char *name, uint64_t number)
{
        (void)name;
        (void)number;
        const struct processes *processes = data;
        HL_CLEANUP(hl_free_pointer) char *pids = hl_cgroups_read(path, "cgroup.procs");
        char *left = NULL;
        for (char *pid = pids ? strtok_r(pids, "\n", &left) : NULL; pid; pid = strtok_r(NULL, "\n", &left))
                processes->each(processes->data, pid);
        return false;
}

void hl_cgroups_each_process(const char *path, hl_cgroups_process_fn *each, void *data)
{
        struct processes processes = { .each = each, .data = data };
        unsigned left = FOLDERS_MAX;
        tell_processes(&processes, path, NULL, 0);
        walk(path, &left, tell_processes, &processes);
}
