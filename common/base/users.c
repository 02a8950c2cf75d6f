/* SPDX-License-Identifier: MIT */
#include "users.h"

#include "mem.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

int hl_users_find(const char *file, uint32_t uid, const char *const *names, size_t count)
{
        HL_CLEANUP(hl_close_file) FILE *users = fopen(file, "re");
        struct passwd entry, *found = NULL;
        char line[1024];
        if (!users)
                return -errno;
        while (fgetpwent_r(users, &entry, line, sizeof(line), &found) == 0)
                for (size_t i = 0; found->pw_uid == uid && i < count; i++)
                        if (strcmp(found->pw_name, names[i]) == 0)
                                return (int)i;
        return -ESRCH;
}
