/* SPDX-License-Identifier: MIT */
#include "holder.h"

#include "base/err.h"
#include "base/mem.h"
#include "kernel/cgroups.h"
#include "kernel/process.h"

#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <string.h>

/* "nginx (pid 812", with room for more, where we may see it. */
static char *find_process(uint32_t inode)
{
        DIR *proc = opendir("/proc");
        const struct dirent *entry;
        char *found = NULL;
        while (proc && !found && (entry = readdir(proc)))
                if (isdigit((unsigned char)*entry->d_name) && hl_process_has_socket(entry->d_name, inode)) {
                        char name[HL_PROCESS_NAME_SIZE];
                        hl_process_name(entry->d_name, name);
                        found = hl_format("%s (pid %s", name, entry->d_name);
                }
        if (proc)
                closedir(proc);
        return found;
}

/* The unit of a control group; also one that has no process of its own, a socket. NULL: not known. free() */
static char *find_unit(uint64_t cgroup)
{
        HL_CLEANUP(hl_free_pointer) char *path = cgroup ? hl_cgroups_path(cgroup) : NULL;
        char *unit = path ? hl_cgroups_unit(path) : NULL;
        const char *last = path ? strrchr(path, '/') : NULL;
        return unit || !last ? unit : hl_strdup(last + 1);
}

char *hl_holder_describe(const struct hl_listener *listener)
{
        HL_CLEANUP(hl_free_pointer) char *process = find_process(listener->inode);
        HL_CLEANUP(hl_free_pointer) char *unit = find_unit(listener->cgroup);
        const struct passwd *user = getpwuid(listener->uid);
        if (process)
                return hl_format("%s%s%s)", process, unit ? ", " : "", unit ? unit : "");
        return hl_format("a program of %s%suser %s", unit ? unit : "", unit ? ", " : "",
                         user ? user->pw_name : "unknown");
}

/* The socket of a socket unit has that unit's name, and what systemd opened for itself its own. */
static bool is_systemd(const struct hl_listener *listener)
{
        HL_CLEANUP(hl_free_pointer) char *unit = find_unit(listener->cgroup);
        const char *end = unit ? strrchr(unit, '.') : NULL;
        return listener->uid == 0 && unit && (strcmp(unit, "init.scope") == 0 || (end && strcmp(end, ".socket") == 0));
}

char *hl_holder_of_port(uint16_t port)
{
        struct hl_listener listener;
        struct hl_err ignored = { 0 };
        if (hl_sockets_listener(port, &listener, &ignored) <= 0 || is_systemd(&listener))
                return NULL;
        return hl_holder_describe(&listener);
}
