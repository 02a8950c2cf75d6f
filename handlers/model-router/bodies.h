/* SPDX-License-Identifier: MIT */
/* bodies.h - bodies that are too long to be looked at in the event loop: by a thread of their own, one after another.
 *
 * Shape    hl_router_bodies_read() takes a request, and hl_router_body_fn gets it back once its body was read. Whoever
 *          asks for something short meanwhile waits for none of it. One body at a time is in memory.
 * Owner    the request is the thread's until it is given back. hl_router_bodies_free() gives all of them back first.
 * Process  the thread is made with the first body. hl_router_body_fn is called from the event loop, or by
 *          hl_router_bodies_free().
 * Tests    tests/unit/model-router/test_bodies.c, tests/doors/test_router_routes.py
 */
#ifndef HL_MODEL_ROUTER_BODIES_H
#define HL_MODEL_ROUTER_BODIES_H

#include "base/err.h"
#include "request.h"

#include <systemd/sd-event.h>

struct hl_router_bodies;

/* What came of it: as hl_router_find_model(), which is `find`. The name is freed behind the call. */
typedef int hl_router_find_fn(const struct hl_router_request *request, char **ret_name, struct hl_err *err);
typedef void hl_router_body_fn(void *data, struct hl_router_request *request, const char *name,
                               const struct hl_err *err);

/* 0, or -errno. */
int hl_router_bodies_new(sd_event *event, hl_router_find_fn *find, hl_router_body_fn *on_read, void *data,
                         struct hl_router_bodies **ret_bodies);
void hl_router_bodies_free(struct hl_router_bodies *bodies);

void hl_router_bodies_read(struct hl_router_bodies *bodies, struct hl_router_request *request);

#endif
