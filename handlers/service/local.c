/* SPDX-License-Identifier: MIT */
#include "local.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/users.h"
#include "kernel/cgroups.h"
#include "kernel/socket_owner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The product's users, and what each may. */
enum { MODELS, SERVICES, POWER, NGINX, USERS };
static const char *const names[USERS] = { "home-lab-models", "home-lab-services", "home-lab-power", "home-lab-nginx" };
static const unsigned scopes[USERS] = { [MODELS] = HL_SCOPE_READ | HL_SCOPE_USE | HL_SCOPE_REPORT,
                                        [SERVICES] = HL_SCOPE_READ,
                                        [POWER] = HL_SCOPE_READ,
                                        [NGINX] = HL_SCOPE_READ };

/* How the units begin that run as one of these. */
static const struct {
        const char *prefix;
        int user;
} units[] = {
        { "model@", MODELS },
        { "shutdown-service", POWER },
        { "inference-service", SERVICES },
        { "model-monitor-service", SERVICES },
        { "model-router", SERVICES },
        { "model-activity", SERVICES },
        { "model-idle-sweep-host", POWER },
        { "model-idle-sweep-before-sleep", POWER },
        { "model-idle-sweep", SERVICES },
        { "home-lab-services", SERVICES },
        { "nginx-config-updater", NGINX },
};

static struct hl_local anybody(void)
{
        return (struct hl_local){ .scopes = HL_SCOPE_ALL };
}

static struct hl_local nobody(const char *why)
{
        return (struct hl_local){ .scopes = HL_SCOPE_NONE, .why = why };
}

static struct hl_local of_ours(int user)
{
        struct hl_local local = { .scopes = scopes[user] };
        hl_copy(local.user, sizeof(local.user), names[user]);
        return local;
}

struct hl_local hl_local_of_user(uint32_t uid, const char *passwd)
{
        int user = hl_users_find(passwd, uid, names, USERS);
        if (user >= 0)
                return of_ours(user);
        return user == -ESRCH ? anybody()
                              : nobody(HL_USERS_FILE " cannot be read, which says whose requests these are");
}

struct hl_local hl_local_of_group(const char *path, const char *passwd)
{
        HL_CLEANUP(hl_free_pointer) char *unit = hl_cgroups_unit(path);
        const char *slice = strstr(path, "/user-");
        unsigned uid;
        if (slice && sscanf(slice, "/user-%u.slice", &uid) == 1) /* a user manager's, or a session's */
                return hl_local_of_user(uid, passwd);
        for (size_t i = 0; i < HL_COUNT(units) && unit; i++)
                if (hl_has_prefix(unit, units[i].prefix))
                        return of_ours(units[i].user);
        return anybody();
}

struct hl_local hl_local_find(const struct hl_peer *peer)
{
        static const char unseen[] = "it cannot be seen who of this host asks: keep the connection open until the "
                                     "answer is there, and ask this port itself";
        struct hl_socket_owner owner;
        if (peer->is_unix)
                return peer->has_uid ? hl_local_of_user(peer->uid, HL_USERS_FILE) : anybody();
        if (peer->client.port == 0 || peer->server.port == 0)
                return anybody();
        if (!hl_socket_owner(&peer->client, &peer->server, &owner))
                return nobody(unseen);
        struct hl_local local = hl_local_of_user(owner.uid, HL_USERS_FILE);
        if (local.scopes != HL_SCOPE_ALL || owner.uid == 0)
                return local;
        if (hl_cgroups_is_below(HL_CGROUPS_OF_MODELS, owner.cgroup))
                return of_ours(MODELS);
        if (owner.uid != HL_NOBODY)
                return local;
        HL_CLEANUP(hl_free_pointer) char *path = hl_cgroups_path(owner.cgroup);
        return path ? hl_local_of_group(path, HL_USERS_FILE) : nobody(unseen);
}
