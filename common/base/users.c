/* SPDX-License-Identifier: MIT */
#include "users.h"

#include "buf.h"
#include "io.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

int hl_users_find(const char *file, uint32_t uid, const char *const *names, size_t count)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        struct passwd entry, *found = NULL;
        char line[1024];
        int r = hl_read_file(AT_FDCWD, file, HL_USERS_SIZE_MAX, &text);
        if (r < 0)
                return r;
        /* From memory: the C library asks a file for its place at each line. */
        HL_CLEANUP(hl_close_file) FILE *users = text.len > 0 ? fmemopen(text.data, text.len, "r") : NULL;
        if (!users)
                return text.len > 0 ? -errno : -ESRCH;
        while (fgetpwent_r(users, &entry, line, sizeof(line), &found) == 0)
                for (size_t i = 0; found->pw_uid == uid && i < count; i++)
                        if (strcmp(found->pw_name, names[i]) == 0)
                                return (int)i;
        return -ESRCH;
}
