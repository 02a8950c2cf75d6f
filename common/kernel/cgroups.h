/* SPDX-License-Identifier: MIT */
/* cgroups.h - which unit does a control group belong to, and which control groups does a unit have?
 *
 * Shape    the kernel tells a socket's control group by its number, which is the inode of that group's folder. The tree
 *          of folders says the rest, without a call to systemd. HL_CGROUP_ROOT in the environment names another tree.
 * Errors   none: where there is no unified hierarchy nothing is found, and who asks must not judge by that.
 * Source   https://docs.kernel.org/admin-guide/cgroup-v2.html; systemd names a unit's folder for the unit.
 * Tests    tests/unit/models/test_owner.c
 */
#ifndef HL_KERNEL_CGROUPS_H
#define HL_KERNEL_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_CGROUPS_OF_UNIT_MAX 64 /* a unit's own group, and those that it has made below it (Delegate=) */

struct hl_cgroups {
        char *path; /* of the unit's own, below the root; NULL: it has none. free() */
        uint64_t numbers[HL_CGROUPS_OF_UNIT_MAX];
        size_t count;
};

/* Where the unit runs. */
void hl_cgroups_of_unit(const char *unit, struct hl_cgroups *ret_groups);
void hl_cgroups_free(struct hl_cgroups *groups);
bool hl_cgroups_have(const struct hl_cgroups *groups, uint64_t number);

#define HL_CGROUPS_OF_MODELS "/system.slice/system-model.slice" /* where systemd puts model@.service */

/* Whether a control group is below one with this path, "/system.slice/system-model.slice". */
bool hl_cgroups_is_below(const char *path, uint64_t number);

/* The path of a control group, "/system.slice/x.service"; NULL: not found. free() */
char *hl_cgroups_path(uint64_t number);

/* The unit of which a path is: its last part that is a service or a scope; NULL: none. free() */
char *hl_cgroups_unit(const char *path);

/* A file of a control group such as "cgroup.procs"; NULL: it cannot be read. free() */
char *hl_cgroups_read(const char *path, const char *file);

/* Tells each process of a control group, and of those below it: "812". */
typedef void hl_cgroups_process_fn(void *data, const char *pid);
void hl_cgroups_each_process(const char *path, hl_cgroups_process_fn *each, void *data);

#endif
