/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS 20 /* of a time in a name: "00000000001234567890-NAME" */

const char *hl_queue_folder(void)
{
        return hl_folder("HL_QUEUE_DIRECTORY", HL_QUEUE_FOLDER);
}

/* A file without a name, and locked. */
static int open_locked(int *ret_fd)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        HL_CLEANUP(hl_close_fd) int fd = open(hl_queue_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

/* Gives it the name of that moment, or of the next one that nobody has. */
static int give_name(int fd, const char *model, uint64_t since_us, struct hl_ticket *ticket)
{
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("/proc/self/fd/%d", fd);
        for (ticket->since_us = since_us;; ticket->since_us++) {
                HL_CLEANUP(hl_free_pointer)
                char *path = hl_format("%s/%0*" PRIu64 "-%s", hl_queue_folder(), DIGITS, ticket->since_us, model);
                if (linkat(AT_FDCWD, file, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
                        ticket->path = hl_steal(path);
                        return 0;
                }
                if (errno != EEXIST)
                        return -errno;
        }
}

int hl_queue_join(const char *model, uint64_t since_us, struct hl_ticket *ret_ticket, struct hl_err *err)
{
        struct hl_ticket ticket = HL_TICKET_INIT;
        int r = open_locked(&ticket.fd);
        if (r == 0)
                r = give_name(ticket.fd, model, since_us, &ticket);
        if (r < 0) {
                hl_close_fd(&ticket.fd);
                return hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", hl_queue_folder(), strerror(-r));
        }
        *ret_ticket = ticket;
        return 0;
}

void hl_queue_leave(struct hl_ticket *ticket)
{
        if (ticket->path)
                unlink(ticket->path);
        free(hl_steal(ticket->path));
        hl_close_fd(&ticket->fd);
        ticket->fd = -1;
}

/* Whether its owner is there still. */
static bool is_held(int dir, const char *name)
{
        HL_CLEANUP(hl_close_fd) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool read_name(const char *name, struct hl_queued *queued)
{
        HL_CLEANUP(hl_free_pointer) char *digits = hl_strndup(name, DIGITS);
        if (strlen(digits) < DIGITS || name[DIGITS] != '-' || !hl_model_name_valid(name + DIGITS + 1) ||
            hl_parse_uint(digits, UINT64_MAX, &queued->since_us) < 0)
                return false;
        hl_copy(queued->model, sizeof(queued->model), name + DIGITS + 1);
        return true;
}

static int by_time(const void *a, const void *b)
{
        const struct hl_queued *one = a, *other = b;
        if (one->since_us != other->since_us)
                return one->since_us < other->since_us ? -1 : 1;
        return strcmp(one->model, other->model);
}

size_t hl_queue_read(const struct hl_ticket *own, struct hl_queued **ret_queued)
{
        struct hl_queued *all = NULL;
        size_t count = 0;
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(hl_queue_folder());
        for (const struct dirent *entry = NULL; dir && (entry = readdir(dir));) {
                struct hl_queued queued = { 0 };
                if (!read_name(entry->d_name, &queued))
                        continue;
                queued.is_own = own && own->path && strcmp(strrchr(own->path, '/') + 1, entry->d_name) == 0;
                if (!queued.is_own && !is_held(dirfd(dir), entry->d_name)) {
                        unlinkat(dirfd(dir), entry->d_name, 0); /* one that is let go of is never taken again */
                        continue;
                }
                all = hl_grow(all, count + 1, sizeof(*all));
                all[count++] = queued;
        }
        if (count > 0)
                qsort(all, count, sizeof(*all), by_time);
        *ret_queued = all;
        return count;
}

size_t hl_queue_read_waiting(const struct hl_catalog *catalog, const struct hl_ledger *ledger,
                             struct hl_queued **ret_queued)
{
        struct hl_queued *all;
        size_t count = hl_queue_read(NULL, &all), waiting = 0;
        for (size_t i = 0; i < count; i++) {
                const struct hl_model *model = hl_catalog_find_named(catalog, all[i].model);
                if (model && !hl_ledger_find(ledger, model))
                        all[waiting++] = all[i];
        }
        *ret_queued = all;
        return waiting;
}
