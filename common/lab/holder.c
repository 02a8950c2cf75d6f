#include "holder.h"

#include "base/err.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define DEPTH_MAX 16 /* of control groups */
#define COMM_SIZE 32

static bool has_socket(const char *pid, const char *wanted)
{
        HL_CLEANUP(hl_free_pointer) char *folder = hl_format("/proc/%s/fd", pid);
        DIR *fds = opendir(folder);
        const struct dirent *fd;
        bool found = false;
        while (fds && !found && (fd = readdir(fds))) {
                char target[64] = "";
                found = readlinkat(dirfd(fds), fd->d_name, target, sizeof(target) - 1) > 0 &&
                        strcmp(target, wanted) == 0;
        }
        if (fds)
                closedir(fds);
        return found;
}

/* "nginx (pid 812", with room for more, where we may see it. */
static char *find_process(uint32_t inode)
{
        HL_CLEANUP(hl_free_pointer) char *wanted = hl_format("socket:[%u]", inode);
        DIR *proc = opendir("/proc");
        const struct dirent *entry;
        char *found = NULL;
        while (proc && !found && (entry = readdir(proc))) {
                char comm[COMM_SIZE] = "";
                if (!isdigit((unsigned char)*entry->d_name) || !has_socket(entry->d_name, wanted))
                        continue;
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("/proc/%s/comm", entry->d_name);
                HL_CLEANUP(hl_close_file) FILE *file = fopen(path, "re");
                if (file && fgets(comm, sizeof(comm), file))
                        comm[strcspn(comm, "\n")] = '\0';
                found = hl_format("%s (pid %s", comm, entry->d_name);
        }
        if (proc)
                closedir(proc);
        return found;
}

/* A control group's number is its folder's. systemd names those of units for them. */
static char *find_unit_below(const char *folder, uint64_t cgroup, unsigned depth)
{
        DIR *groups = depth < DEPTH_MAX ? opendir(folder) : NULL;
        const struct dirent *entry;
        char *found = NULL;
        while (groups && !found && (entry = readdir(groups))) {
                if (entry->d_type != DT_DIR || *entry->d_name == '.')
                        continue;
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, entry->d_name);
                found = entry->d_ino == cgroup ? hl_strdup(entry->d_name) : find_unit_below(path, cgroup, depth + 1);
        }
        if (groups)
                closedir(groups);
        return found;
}

char *hl_holder_describe(const struct hl_listener *listener)
{
        HL_CLEANUP(hl_free_pointer) char *process = find_process(listener->inode);
        HL_CLEANUP(hl_free_pointer)
        char *unit = listener->cgroup ? find_unit_below(CGROUP_ROOT, listener->cgroup, 0) : NULL;
        const struct passwd *user = getpwuid(listener->uid);
        if (process)
                return hl_format("%s%s%s)", process, unit ? ", " : "", unit ? unit : "");
        return hl_format("a program of %s%suser %s", unit ? unit : "", unit ? ", " : "",
                         user ? user->pw_name : "unknown");
}

/* The socket of a socket unit has that unit's name, and what systemd opened for itself its own. */
static bool is_systemd(const struct hl_listener *listener)
{
        HL_CLEANUP(hl_free_pointer) char *unit = find_unit_below(CGROUP_ROOT, listener->cgroup, 0);
        const char *end = unit ? strrchr(unit, '.') : NULL;
        return listener->uid == 0 && unit && (strcmp(unit, "init.scope") == 0 || (end && strcmp(end, ".socket") == 0));
}

char *hl_holder_of_port(uint16_t port)
{
        struct hl_listener listener;
        struct hl_err ignored = { 0 };
        if (hl_inflight_listener(port, &listener, &ignored) <= 0 || is_systemd(&listener))
                return NULL;
        return hl_holder_describe(&listener);
}
