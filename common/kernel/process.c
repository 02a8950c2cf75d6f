/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool hl_process_has_socket(const char *pid, uint32_t inode)
{
        char target[64], wanted[64];
        snprintf(wanted, sizeof(wanted), "socket:[%u]", inode);
        HL_CLEANUP(hl_free_pointer) char *folder = hl_format("/proc/%s/fd", pid);
        DIR *fds = opendir(folder);
        const struct dirent *entry;
        bool found = false;
        while (fds && !found && (entry = readdir(fds))) {
                ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
                if (n > 0) {
                        target[n] = '\0';
                        found = strcmp(target, wanted) == 0;
                }
        }
        if (fds)
                closedir(fds);
        return found;
}

void hl_process_name(const char *pid, char name[static HL_PROCESS_NAME_SIZE])
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("/proc/%s/comm", pid);
        HL_CLEANUP(hl_close_file) FILE *file = fopen(path, "re");
        *name = '\0';
        if (file && fgets(name, HL_PROCESS_NAME_SIZE, file))
                name[strcspn(name, "\n")] = '\0';
        hl_make_printable(name);
}
