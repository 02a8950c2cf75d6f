/* SPDX-License-Identifier: MIT */
/* owner.h - whose is the server that a connection to a model's PORT comes to?
 *
 * Shape    the kernel's word on the socket that listens: its control group is that of the model's unit, or another's.
 *          What listens on behalf of a model without being of its unit is let be: systemd, which holds a port for it,
 *          and the programs of container engines. Where nobody can tell, it is taken for the model's.
 * Errors   as in sockets.h.
 * Source   sockets.h, cgroups.h, process.h.
 * Tests    tests/unit/models/test_owner.c, tests/system/test_causes.py
 */
#ifndef HL_MODELS_OWNER_H
#define HL_MODELS_OWNER_H

#include "config/catalog.h"
#include "kernel/process.h"
#include "kernel/sockets.h"

enum hl_owner_kind {
        HL_OWNER_NOBODY,
        HL_OWNER_OWN,      /* of the model's unit */
        HL_OWNER_TRUSTED,  /* may be there for the model, or nobody can tell */
        HL_OWNER_STRANGER, /* another program */
};

struct hl_owner {
        enum hl_owner_kind kind;
        struct hl_listener listener;
        char *unit;   /* of a stranger; NULL: not known. free() */
        unsigned pid; /* 0: not known */
        char program[HL_PROCESS_NAME_SIZE];
};

/* Who would be given a connection to 127.0.0.1 and this port, seen from the unit of a model. */
int hl_owner_find(uint16_t port, const char *unit, struct hl_owner *ret_owner, struct hl_err *err);
void hl_owner_free(struct hl_owner *owner);

/* "port 8212 is used by the model n2a", "port 8198 is used by python3 (pid 17, unit session-3.scope)". free() */
char *hl_owner_describe(const struct hl_owner *owner, const struct hl_model *model);

#endif
