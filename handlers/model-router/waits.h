/* SPDX-License-Identifier: MIT */
/* waits.h - requests that wait for their models: a connection and a name each.
 *
 * Shape    one for the program. Who waits is handed on when the model is ready (starter.h), refused when it will not
 *          be, and handed back to NGINX, for a successor, when the program ends. While requests wait their models are
 *          in use; when none has waited or been asked for idle_us, the event loop is ended.
 * Owner    hl_router_wait() takes the request; the model is copied.
 * Process  one thread, in its event loop.
 * Tests    tests/system/test_router.py
 */
#ifndef HL_MODEL_ROUTER_WAITS_H
#define HL_MODEL_ROUTER_WAITS_H

#include "config/catalog.h"
#include "request.h"
#include "starter.h"

/* Requests at once; below what libfcgi's select() bears. Of them, of one client on another host: wait.conf, too. */
#define HL_ROUTER_WAITING_MAX 900
#define HL_ROUTER_WAITING_PER_CLIENT_MAX 128

struct hl_router_waits;

/* 0, or -errno. bus is the caller's. */
int hl_router_waits_new(sd_event *event, struct hl_bus *bus, uint64_t idle_us, struct hl_router_waits **ret_waits);
void hl_router_waits_free(struct hl_router_waits *all);

void hl_router_wait(struct hl_router_waits *all, struct hl_router_request *request, const struct hl_model *model);

/* Whether it is being started for those who wait: nothing of it listens yet. */
bool hl_router_waits_is_starting(const struct hl_router_waits *all, const struct hl_model *model);

/* Whether one more may wait: 0, or -EBUSY/BUSY "too_many_waiting". */
int hl_router_waits_check(const struct hl_router_waits *all, const struct hl_peer *peer, struct hl_err *err);

/* The program was asked for something: it is not idle. */
void hl_router_waits_asked(struct hl_router_waits *all);

#endif
