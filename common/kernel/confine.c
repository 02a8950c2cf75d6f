/* SPDX-License-Identifier: MIT */
#include "confine.h"

#include "base/mem.h"
#include "confine_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

#define VARIABLE "HL_CONFINED_TO" /* "/folder:/other" */

/* Of landlock(7), for headers before that of Linux 6.12. */
#define CAN_REFER (UINT64_C(1) << 13)             /* from ABI 2 on */
#define CAN_TRUNCATE (UINT64_C(1) << 14)          /* 3 */
#define CAN_IOCTL_DEV (UINT64_C(1) << 15)         /* 5 */
#define CAN_BIND_TCP (UINT64_C(1) << 0)           /* 4 */
#define SCOPE_ABSTRACT_SOCKETS (UINT64_C(1) << 0) /* 6 */
#define SCOPE_SIGNALS (UINT64_C(1) << 1)
#define RULE_NET_PORT 2

#define OLDEST 2 /* before it nothing may be linked or renamed, which /run/home-lab-services/queue needs */

struct ruleset {
        uint64_t handled_access_fs, handled_access_net, scoped;
};

struct port_rule {
        uint64_t allowed_access, port;
};

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                                                        \
        (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | CAN_REFER |    \
         CAN_TRUNCATE)
#define NEVER                                                                                                          \
        (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |                   \
         LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                   \
         LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | CAN_IOCTL_DEV)

/* What a kernel of this ABI can keep a process from. */
static struct ruleset known_to(long abi)
{
        struct ruleset all = { READING | WRITING | NEVER, CAN_BIND_TCP, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS };
        if (abi < 3)
                all.handled_access_fs &= ~CAN_TRUNCATE;
        if (abi < 4)
                all.handled_access_net = 0;
        if (abi < 5)
                all.handled_access_fs &= ~CAN_IOCTL_DEV;
        if (abi < 6)
                all.scoped = 0;
        return all;
}

/* What cannot be opened is not allowed: that there is nothing is no reason to fail. */
static void allow(int ruleset, const char *path, int flags, uint64_t access)
{
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_PATH | O_CLOEXEC | flags);
        const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
        if (fd >= 0)
                syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* Of the folders in this one all but "tmp" and one more. A link leads to where there is another name for it. */
static void allow_reading_in(int ruleset, const char *folder, const char *less)
{
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(folder);
        const struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
                const char *name = entry->d_name;
                HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, name);
                if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "tmp") != 0 &&
                    strcmp(name, less) != 0)
                        allow(ruleset, path, O_DIRECTORY | O_NOFOLLOW, READING);
        }
}

static void allow_writing(int ruleset, const char *list, uint64_t access)
{
        HL_CLEANUP(hl_free_pointer) char *paths = hl_strdup(list), *rest = paths, *path;
        while ((path = strsep(&rest, ":")))
                allow(ruleset, path, O_DIRECTORY, access);
}

/* A port of the kernel's choice: a question to a model has an address of its own. */
static void allow_any_port(int ruleset)
{
        const struct port_rule any = { CAN_BIND_TCP, 0 };
        syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &any, 0);
}

static int restrict_process(const char *writable)
{
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < OLDEST)
                return abi < 0 ? -errno : -EOPNOTSUPP;
        const struct ruleset rules = known_to(abi);
        HL_CLEANUP(hl_close_fd) int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
        if (fd < 0)
                return -errno;
        allow_reading_in(fd, "/", "var");
        allow_reading_in(fd, "/var", "");
        allow_writing(fd, writable, rules.handled_access_fs & (READING | WRITING));
        allow_any_port(fd);
        return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

int hl_confine(void)
{
        const char *writable = getenv(VARIABLE);
        if (!writable)
                return 0;
        int r = restrict_process(writable);
        return r == 0 ? hl_confine_calls() : r;
}
