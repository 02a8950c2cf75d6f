/* SPDX-License-Identifier: MIT */
/* io.h - reading and writing with a limit and a deadline.
 *
 * Units    deadline_us is CLOCK_MONOTONIC, as from hl_clock_monotonic().
 * Errors   0 or -errno; -ETIMEDOUT: the deadline passed; -EFBIG: the file is over the limit.
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_IO_H
#define HL_BASE_IO_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Waits for poll() events on fd. 1: ready, 0: the deadline passed, or -errno. */
int hl_wait_fd(int fd, short events, uint64_t deadline_us);

/* Sleeps for so long, or until the peer of fd hangs up (-1: only sleeps). True: the peer has hung up. */
bool hl_sleep_or_hangup(int fd, uint64_t us);

/* Writes all of it, also to a non-blocking descriptor. */
int hl_write_all(int fd, const void *bytes, size_t len, uint64_t deadline_us);

/* Appends the whole file below the folder dir_fd (or AT_FDCWD) to buf, at most max bytes. */
int hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);

/* Whether what reading a file has returned is a failure that may be gone in a moment: a disk's, or too many files that
 * are open. */
bool hl_may_pass(int r);

/* Whether it is a symbolic link, wherever it leads. */
bool hl_is_link(const char *path);

/* Whether what stat() said of a path twice is of one file that nobody has changed in between. */
bool hl_is_same_file(const struct stat *a, const struct stat *b);

/* False: it has changed just now, and may change again and look the same. */
bool hl_file_has_settled(const struct stat *status);

/* What the environment's variable says where that is a whole path, else the usual one. It lives as they do. */
const char *hl_folder(const char *variable, const char *usual);

/* Writes the file anew beside the old one and renames it over it: a reader sees the old or
 * the new one, never a part. gid (gid_t)-1 leaves the group as it is. */
int hl_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, gid_t gid);

#endif
