/* SPDX-License-Identifier: MIT */
#include "access.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINKS_MAX 8 /* that are followed, one after the other */

char *hl_access_user(void)
{
        const struct passwd *user = getpwuid(geteuid());
        return user ? hl_strdup(user->pw_name) : hl_format("%u", geteuid());
}

static int may(const char *path, int mode)
{
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* What a link leads to, as a full path; NULL: it is none. */
static char *target_of(const char *path)
{
        char target[PATH_MAX];
        ssize_t len = readlink(path, target, sizeof(target));
        if (len <= 0 || len == sizeof(target))
                return NULL;
        const char *slash = strrchr(path, '/');
        return *target == '/' ? hl_strndup(target, (size_t)len)
                              : hl_format("%.*s/%.*s", (int)(slash - path), path, (int)len, target);
}

static char *explain(const char *path, const char *user, enum hl_access access, unsigned links);

/* Of a link the reason lies where it leads to. */
static char *explain_link(const char *path, const char *user, enum hl_access access, unsigned links)
{
        HL_CLEANUP(hl_free_pointer) char *target = links < LINKS_MAX ? target_of(path) : NULL;
        HL_CLEANUP(hl_free_pointer) char *why = target ? explain(target, user, access, links + 1) : NULL;
        return why ? hl_format("%s leads to %s: %s", path, target, why) : NULL;
}

/* The first folder on the way that cannot be entered, or is not there. */
static char *explain_way(const char *path, const char *user, unsigned links)
{
        for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                HL_CLEANUP(hl_free_pointer) char *folder = hl_strndup(path, (size_t)(slash - path));
                int error = may(folder, X_OK);
                char *linked = error ? explain_link(folder, user, HL_ACCESS_ENTER, links) : NULL;
                if (linked)
                        return linked;
                if (error == EACCES)
                        return hl_format("the user %s may not enter %s: \"sudo chmod o+x %s\", or move it to /srv",
                                         user, folder, folder);
                if (error)
                        return hl_format("there is no folder %s", folder);
        }
        return NULL;
}

static bool is_on_noexec(const char *path)
{
        struct statvfs status;
        return statvfs(path, &status) == 0 && (status.f_flag & ST_NOEXEC);
}

static char *explain(const char *path, const char *user, enum hl_access access, unsigned links)
{
        static const int modes[] = { [HL_ACCESS_READ] = R_OK, [HL_ACCESS_RUN] = X_OK, [HL_ACCESS_ENTER] = X_OK };
        char *why = explain_way(path, user, links);
        struct stat status;
        if (why)
                return why;
        bool is_there = stat(path, &status) == 0;
        int error = is_there ? 0 : errno;
        if (is_there && access == HL_ACCESS_RUN && S_ISDIR(status.st_mode))
                return hl_format("%s is a folder, and no program", path);
        if (is_there && may(path, modes[access]) == 0)
                return NULL;
        why = explain_link(path, user, access, links);
        if (why)
                return why;
        if (!is_there)
                return error == ENOENT ? hl_format("there is no %s", path)
                                       : hl_format("the user %s cannot reach %s: %s", user, path, strerror(error));
        if (access == HL_ACCESS_RUN && is_on_noexec(path))
                return hl_format("%s is on a file system that is mounted with noexec: move it to another", path);
        if (access == HL_ACCESS_ENTER)
                return hl_format("the user %s may not enter %s: \"sudo chmod o+x %s\"", user, path, path);
        if (access == HL_ACCESS_RUN)
                return hl_format("the user %s may not run %s: \"sudo chmod a+rx %s\"", user, path, path);
        return hl_format("the user %s may not read %s: \"sudo chmod o+r%s %s\"", user, path,
                         S_ISDIR(status.st_mode) ? "x" : "", path);
}

char *hl_access_explain(const char *path, enum hl_access access)
{
        HL_CLEANUP(hl_free_pointer) char *user = hl_access_user();
        return explain(path, user, access, 0);
}
