/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAMESPACE_OF_HOST "/proc/1/ns/mnt"

bool hl_privileges_are_roots(void)
{
        return geteuid() == 0;
}

int hl_privileges_see_host(void)
{
        HL_CLEANUP(hl_close_fd) int fd = open(NAMESPACE_OF_HOST, O_RDONLY | O_CLOEXEC);
        return fd < 0 || setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

int hl_privileges_become(const char *user, const char *group)
{
        const struct passwd *passwd = getpwnam(user);
        uid_t uid = passwd ? passwd->pw_uid : 0;
        const struct group *entry = passwd ? getgrnam(group) : NULL;
        if (!entry)
                return -ENOENT;
        gid_t gid = entry->gr_gid;
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}
