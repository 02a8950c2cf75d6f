/* SPDX-License-Identifier: MIT */
/* listening.h - where do the programs of a model's unit listen, if not on its PORT?
 *
 * Shape    one look at the sockets of the unit's control groups. A server may open other ports before its PORT, so that
 *          it listens elsewhere proves nothing by itself: it does only where COMMAND says so, and names PORT nowhere.
 * Errors   none: what cannot be seen (before Linux 5.8, without the unified hierarchy) is HL_LISTENS_UNKNOWN.
 * Source   sockets.h, cgroups.h; sock_diag(7), linux/unix_diag.h.
 * Tests    tests/unit/models/test_listening.c, tests/system/test_causes.py
 */
#ifndef HL_MODELS_LISTENING_H
#define HL_MODELS_LISTENING_H

#include "config/catalog.h"

enum hl_listens {
        HL_LISTENS_UNKNOWN,
        HL_LISTENS_HERE, /* on PORT, where it is asked */
        HL_LISTENS_ELSEWHERE,
        HL_LISTENS_NOWHERE,
};

#define HL_LISTENING_SIZE 288 /* bytes, with the NUL */

struct hl_listening {
        enum hl_listens where;
        bool is_certain;                  /* elsewhere: it will not come to PORT */
        char sentence[HL_LISTENING_SIZE]; /* elsewhere: "m listens on 8299, but PORT is 8202: …" */
};

void hl_listening_look(const struct hl_model *model, struct hl_listening *ret_listening);

/* Whether this COMMAND tells its program to listen on `port`, and does not speak of `other`. */
bool hl_listening_command_says(const char *command, uint16_t port, uint16_t other);

#endif
