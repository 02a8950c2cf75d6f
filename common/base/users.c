/* SPDX-License-Identifier: MIT */
#include "users.h"

#include "buf.h"
#include "io.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What was asked last, of which file, and the answer. It stands while the file is the same. */
struct asked {
        char *file;
        const char *const *names;
        size_t count;
        uint32_t uid;
        struct stat status;
        int result;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct asked last;

static int find(const char *file, uint32_t uid, const char *const *names, size_t count)
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

static bool was_asked(const struct asked *now)
{
        return last.file && strcmp(last.file, now->file) == 0 && last.names == now->names && last.count == now->count &&
               last.uid == now->uid && hl_is_same_file(&last.status, &now->status);
}

static void keep(struct asked *now)
{
        now->file = hl_strdup(now->file);
        pthread_mutex_lock(&mutex);
        free(last.file);
        last = *now;
        pthread_mutex_unlock(&mutex);
}

int hl_users_find(const char *file, uint32_t uid, const char *const *names, size_t count)
{
        struct asked now = { .file = (char *)(uintptr_t)file, .names = names, .count = count, .uid = uid };
        if (stat(file, &now.status) < 0)
                return -errno;
        bool may_keep = hl_file_has_settled(&now.status);
        pthread_mutex_lock(&mutex);
        bool is_known = was_asked(&now);
        int result = last.result;
        pthread_mutex_unlock(&mutex);
        if (is_known)
                return result;
        now.result = find(file, uid, names, count);
        if (may_keep && (now.result >= 0 || now.result == -ESRCH))
                keep(&now);
        return now.result;
}
