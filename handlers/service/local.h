/* SPDX-License-Identifier: MIT */
/* local.h - what may somebody on this machine do without a token?
 *
 * Shape    a local peer is a user, and no address: people may everything. Models see how models do, list them and
 *          report a use. The other programs of ours look, and no more. Whose a connection is the kernel says
 *          (kernel/socket_owner.h): its user, where this process sees users, and its unit. What runs in a model's unit
 *          is a model, whoever its user is. Who lets whom in at a web server's own unix socket, its file's mode says.
 *          CGI/1.1 knows no client's port: a web server that does not say it vouches for everybody on this machine.
 * Errors   who cannot be told is nobody, and may nothing.
 * Source   /etc/passwd has these users; control groups are named for units, and slices for users.
 * Tests    tests/unit/service/test_local.c, tests/system/test_who.py
 */
#ifndef HL_SERVICE_LOCAL_H
#define HL_SERVICE_LOCAL_H

#include "http/request.h"

#define HL_LOCAL_USER_SIZE 32

struct hl_local {
        unsigned scopes;               /* enum hl_scope */
        char user[HL_LOCAL_USER_SIZE]; /* of this product's; "" for all others */
        const char *why;               /* one sentence, where it may nothing: nobody can tell who it is; else NULL */
};

struct hl_local hl_local_find(const struct hl_peer *peer);

/* Of a user, by a file as /etc/passwd is. */
struct hl_local hl_local_of_user(uint32_t uid, const char *passwd);

/* Of a control group, by its path. */
struct hl_local hl_local_of_group(const char *path, const char *passwd);

#endif
