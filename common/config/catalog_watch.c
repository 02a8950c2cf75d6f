/* SPDX-License-Identifier: MIT */
#include "catalog_watch.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CHANGES (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xca451a4e
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#define XFS_MAGIC 0x58465342

/* Whether this kernel is the only one that writes to the file system, and does so by its own file operations. */
static bool is_own(const struct statfs *system)
{
        switch ((unsigned)system->f_type) {
        case EXT4_SUPER_MAGIC:
        case XFS_MAGIC:
        case BTRFS_SUPER_MAGIC:
        case F2FS_SUPER_MAGIC:
        case BCACHEFS_SUPER_MAGIC:
        case ZFS_SUPER_MAGIC:
        case TMPFS_MAGIC:
        case RAMFS_MAGIC:
        case OVERLAYFS_SUPER_MAGIC:
        case SQUASHFS_MAGIC:
        case EROFS_SUPER_MAGIC_V1:
                return true;
        default:
                return false;
        }
}

static struct hl_catalog_place find_place(const char *path)
{
        struct hl_catalog_place place = { 0 };
        if (stat(path, &place.status) < 0)
                place.status = (struct stat){ 0 };
        return place;
}

static int watch_path(const struct hl_catalog_watch *watch, const char *path, uint32_t events)
{
        struct statfs system;
        if (statfs(path, &system) < 0)
                return -errno;
        if (!is_own(&system))
                return -EOPNOTSUPP;
        return inotify_add_watch(watch->events_fd, path, events) < 0 ? -errno : 0;
}

/* Remembers where a path leads, and watches what is there, if anything. What may not be read cannot be watched: the
 * time of its last change tells of it. */
static int add_place(struct hl_catalog_watch *watch, const char *path, uint32_t events)
{
        struct hl_catalog_place place = find_place(path);
        int r = place.status.st_ino ? watch_path(watch, path, events) : 0;
        if (r < 0 && (r != -EACCES || !hl_file_has_settled(&place.status)))
                return r;
        place.path = hl_strdup(path);
        watch->places = hl_grow(watch->places, watch->count + 1, sizeof(*watch->places));
        watch->places[watch->count++] = place;
        return 0;
}

/* A file is watched itself, too: it may have another name elsewhere, by which it is written. type: as in st_mode. */
static int add_file(struct hl_catalog_watch *watch, const char *path, mode_t type)
{
        if (type == S_IFDIR)
                return 0;
        int r = type == S_IFREG ? watch_path(watch, path, CHANGES) : -EACCES;
        return r == -EACCES ? add_place(watch, path, CHANGES) : r;
}

static int end_unless(int r, struct hl_catalog_watch *watch)
{
        if (r < 0)
                hl_catalog_watch_end(watch);
        return r;
}

int hl_catalog_watch_begin(struct hl_catalog_watch *watch, const char *folder)
{
        *watch = (struct hl_catalog_watch){ .has_begun = true,
                                            .events_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
                                            .mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) };
        int r = watch->events_fd < 0 || watch->mounts_fd < 0 ? -errno : 0;
        if (r == 0)
                r = add_place(watch, folder, CHANGES | NAMES | IN_ONLYDIR);
        return end_unless(r, watch);
}

int hl_catalog_watch_file(struct hl_catalog_watch *watch, const char *name)
{
        struct stat status;
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", watch->places[0].path, name);
        for (size_t i = 1; i < watch->count; i++)
                if (strcmp(watch->places[i].path, path) == 0)
                        return 0;
        if (lstat(path, &status) < 0)
                return errno == ENOENT ? 0 : -errno;
        return add_file(watch, path, status.st_mode & S_IFMT);
}

int hl_catalog_watch_all_files(struct hl_catalog_watch *watch)
{
        const char *folder = watch->places[0].path;
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(folder);
        const struct dirent *entry;
        int r = dir ? 0 : -errno;
        while (r == 0 && (errno = 0, entry = readdir(dir))) {
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, entry->d_name);
                r = add_file(watch, path, DTTOIF((mode_t)entry->d_type));
        }
        return end_unless(r < 0 ? r : -errno, watch);
}

bool hl_catalog_watch_is_calm(const struct hl_catalog_watch *watch)
{
        struct pollfd fds[] = { { .fd = watch->events_fd, .events = POLLIN },
                                { .fd = watch->mounts_fd, .events = POLLPRI } };
        if (poll(fds, HL_COUNT(fds), 0) != 0)
                return false;
        for (size_t i = 0; i < watch->count; i++) {
                struct hl_catalog_place now = find_place(watch->places[i].path);
                if (!hl_is_same_file(&now.status, &watch->places[i].status))
                        return false;
        }
        return true;
}

void hl_catalog_watch_end(struct hl_catalog_watch *watch)
{
        if (!watch->has_begun)
                return;
        hl_close_fd(&watch->events_fd);
        hl_close_fd(&watch->mounts_fd);
        for (size_t i = 0; i < watch->count; i++)
                free(watch->places[i].path);
        free(watch->places);
        *watch = (struct hl_catalog_watch){ 0 };
}
