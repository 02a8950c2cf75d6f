/* SPDX-License-Identifier: MIT */
#include "access.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *hl_access_user(void)
{
        const struct passwd *user = getpwuid(geteuid());
        return user ? hl_strdup(user->pw_name) : hl_format("%u", geteuid());
}

static int may(const char *path, int mode)
{
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* The first folder on the way that cannot be entered, or is not there. */
static char *explain_way(const char *path, const char *user)
{
        for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                HL_CLEANUP(hl_free_pointer) char *folder = hl_strndup(path, (size_t)(slash - path));
                int error = may(folder, X_OK);
                if (error == EACCES)
                        return hl_format("the user %s may not enter %s: \"sudo chmod o+x %s\", or move it to /srv",
                                         user, folder, folder);
                if (error)
                        return hl_format("there is no folder %s", folder);
        }
        return NULL;
}

char *hl_access_explain(const char *path, enum hl_access access)
{
        HL_CLEANUP(hl_free_pointer) char *user = hl_access_user();
        char *way = explain_way(path, user);
        struct stat status;
        if (way)
                return way;
        if (stat(path, &status) < 0)
                return errno == ENOENT ? hl_format("there is no %s", path)
                                       : hl_format("the user %s cannot reach %s: %s", user, path, strerror(errno));
        if (access == HL_ACCESS_RUN && S_ISDIR(status.st_mode))
                return hl_format("%s is a folder, and no program", path);
        if (may(path, access == HL_ACCESS_RUN ? X_OK : R_OK) == 0)
                return NULL;
        if (access == HL_ACCESS_RUN)
                return hl_format("the user %s may not run %s: \"sudo chmod a+rx %s\"", user, path, path);
        return hl_format("the user %s may not read %s: \"sudo chmod o+r%s %s\"", user, path,
                         S_ISDIR(status.st_mode) ? "x" : "", path);
}
