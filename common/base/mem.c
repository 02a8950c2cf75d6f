/* SPDX-License-Identifier: MIT */
#include "mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *pointer)
{
        if (!pointer) {
                fputs("out of memory\n", stderr);
                abort();
        }
        return pointer;
}

void *hl_alloc(size_t size)
{
        return checked(calloc(1, size ? size : 1));
}

void *hl_grow(void *pointer, size_t count, size_t item_size)
{
        return checked(reallocarray(pointer, count ? count : 1, item_size));
}

char *hl_strdup(const char *text)
{
        return text ? checked(strdup(text)) : NULL;
}

char *hl_strndup(const char *text, size_t len)
{
        return checked(strndup(text, len));
}

char *hl_vformat(const char *format, va_list args)
{
        char *text = NULL;
        return checked(vasprintf(&text, format, args) < 0 ? NULL : text);
}

char *hl_format(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        char *text = hl_vformat(format, args);
        va_end(args);
        return text;
}

unsigned *hl_share(unsigned *users)
{
        if (!users) {
                users = hl_alloc(sizeof(*users));
                *users = 1;
        }
        __atomic_add_fetch(users, 1, __ATOMIC_RELAXED);
        return users;
}

bool hl_unshare(unsigned *users)
{
        if (users && __atomic_sub_fetch(users, 1, __ATOMIC_ACQ_REL) > 0)
                return false;
        free(users);
        return true;
}

void hl_free_pointer(void *address_of_pointer)
{
        free(*(void **)address_of_pointer);
}

void hl_close_fd(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

void hl_close_file(FILE **file)
{
        if (*file)
                fclose(*file);
}

void hl_close_dir(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}
