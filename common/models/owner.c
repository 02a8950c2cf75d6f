/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernel/cgroups.h"
#include "kernel/process.h"

#include <stdlib.h>
#include <string.h>

#define PIDS_MAX 256 /* of a control group that are looked at */

/* Container engines publish a port by a program of their own, as root or, without root, in a session of their
 * user's. */
static bool is_container_engine(const char *path)
{
        static const char *const words[] = { "docker", "containerd", "podman", "libpod", "crio", "machine.slice" };
        for (size_t i = 0; i < HL_COUNT(words); i++)
                if (strstr(path, words[i]))
                        return true;
        return false;
}

/* The name that stands in a unit's name where this model's stands in its own; NULL: the unit is no model's. free() */
static char *other_model(const char *unit, const struct hl_model *model)
{
        size_t len = strlen(unit);
        /* It may stand there twice: of a model "m" it is the second in "model@m.service". */
        for (const char *name = strstr(model->unit, model->name); name; name = strstr(name + 1, model->name)) {
                size_t prefix = (size_t)(name - model->unit);
                const char *suffix = name + strlen(model->name);
                size_t around = prefix + strlen(suffix);
                if (len > around && strncmp(unit, model->unit, prefix) == 0 &&
                    strcmp(unit + len - strlen(suffix), suffix) == 0)
                        return hl_strndup(unit + prefix, len - around);
        }
        return NULL;
}

/* The process: the one that has the socket, or the only one that there is. */
static void find_process(const char *path, struct hl_owner *owner)
{
        HL_CLEANUP(hl_free_pointer) char *pids = hl_cgroups_read(path, "cgroup.procs");
        unsigned count = 0, first = 0;
        char *rest = NULL;
        for (const char *pid = pids ? strtok_r(pids, "\n", &rest) : NULL; pid && count < PIDS_MAX;
             pid = strtok_r(NULL, "\n", &rest)) {
                unsigned number = (unsigned)strtoul(pid, NULL, 10);
                first = count++ == 0 ? number : first;
                if (hl_process_has_socket(pid, owner->listener.inode)) {
                        owner->pid = number;
                        break;
                }
        }
        if (owner->pid == 0 && count == 1)
                owner->pid = first;
        if (owner->pid == 0)
                return;
        HL_CLEANUP(hl_free_pointer) char *pid = hl_format("%u", owner->pid);
        hl_process_name(pid, owner->program);
}

/* A program of root's is systemd or a container engine, as a rule; but not one that was typed on a terminal. */
static enum hl_owner_kind judge(const struct hl_owner *owner, const char *path)
{
        if (!path || is_container_engine(path))
                return HL_OWNER_TRUSTED;
        if (owner->listener.uid == 0 && !hl_has_prefix(path, "/user.slice/"))
                return HL_OWNER_TRUSTED;
        return HL_OWNER_STRANGER;
}

int hl_owner_find(uint16_t port, const char *unit, struct hl_owner *ret_owner, struct hl_err *err)
{
        struct hl_owner owner = { .kind = HL_OWNER_NOBODY };
        int r = hl_sockets_listener(port, &owner.listener, err);
        if (r < 0)
                return r;
        if (r == 0 || hl_listener_takes_loopback(&owner.listener) == 0) {
                *ret_owner = owner;
                return 0;
        }
        HL_CLEANUP(hl_cgroups_free) struct hl_cgroups groups;
        hl_cgroups_of_unit(unit, &groups);
        if (hl_cgroups_have(&groups, owner.listener.cgroup)) {
                owner.kind = HL_OWNER_OWN;
        } else {
                HL_CLEANUP(hl_free_pointer)
                char *path = owner.listener.cgroup ? hl_cgroups_path(owner.listener.cgroup) : NULL;
                owner.kind = judge(&owner, path);
                if (owner.kind == HL_OWNER_STRANGER) {
                        owner.unit = hl_cgroups_unit(path);
                        find_process(path, &owner);
                }
        }
        *ret_owner = owner;
        return 0;
}

void hl_owner_free(struct hl_owner *owner)
{
        free(hl_steal(owner->unit));
}

char *hl_owner_describe(const struct hl_owner *owner, const struct hl_model *model)
{
        HL_CLEANUP(hl_free_pointer) char *other = owner->unit ? other_model(owner->unit, model) : NULL;
        uint16_t port = owner->listener.port;
        const char *program = *owner->program ? owner->program : "a program";
        if (other)
                return hl_format("port %u is used by the model %s", port, other);
        if (owner->pid && owner->unit)
                return hl_format("port %u is used by %s (pid %u, unit %s)", port, program, owner->pid, owner->unit);
        if (owner->unit)
                return hl_format("port %u is used by %s of the unit %s", port, program, owner->unit);
        return hl_format("port %u is used by another program (\"ss -ltnp\" as root says which)", port);
}
