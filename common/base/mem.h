/* SPDX-License-Identifier: MIT */
/* mem.h - allocation that does not fail, and cleanup when a scope is left.
 *
 * Errors   memory that cannot be had ends the process with a line on stderr. Nothing of
 *          ours is kept in memory (systemd, logind and the file system hold it), so the
 *          next request starts afresh and nothing is lost.
 * Owner    a variable marked HL_CLEANUP owns what it points to; hl_steal() hands it over.
 */
#ifndef HL_BASE_MEM_H
#define HL_BASE_MEM_H

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The function takes a pointer to the variable, and is called when its scope is left. */
#define HL_CLEANUP(function) __attribute__((cleanup(function)))

#define hl_steal(pointer)                                                                                              \
        ({                                                                                                             \
                __typeof__(pointer) p_ = (pointer);                                                                    \
                (pointer) = NULL;                                                                                      \
                p_;                                                                                                    \
        })

#define HL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

void *hl_alloc(size_t size);                                                    /* zeroed; free() */
void *hl_grow(void *pointer, size_t count, size_t item_size);                   /* like reallocarray(); free() */
char *hl_strdup(const char *text);                                              /* NULL gives NULL; free() */
char *hl_strndup(const char *text, size_t len);                                 /* free() */
char *hl_format(const char *format, ...) __attribute__((format(printf, 1, 2))); /* free() */
char *hl_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* How many have what a pointer of theirs leads to: one more, in any thread but for the first time (users is NULL then).
 * And one fewer: true, that was the last one, or the only one ever. */
unsigned *hl_share(unsigned *users);
bool hl_unshare(unsigned *users);

/* For HL_CLEANUP. hl_close_fd: a negative descriptor is nothing to close. */
void hl_free_pointer(void *address_of_pointer);
void hl_close_fd(int *fd);
void hl_close_file(FILE **file);
void hl_close_dir(DIR **dir);

#endif
