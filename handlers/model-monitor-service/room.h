/* SPDX-License-Identifier: MIT */
/* room.h - whether what running models claim, or who waits for room, is otherwise than when it was looked last.
 *
 * Shape    what is told is short: GET /capacity of port 5002 has all of it.
 * Errors   as in config.h, catalog.h and units.h; nothing is told then.
 * Owner    monitor_room_free(). *ret_json: the caller's.
 * Tests    tests/system/test_page.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_ROOM_H
#define HL_MODEL_MONITOR_SERVICE_ROOM_H

#include "base/buf.h"
#include "base/json.h"
#include "systemd/bus.h"

struct monitor_room {
        struct hl_buf told; /* but for its time */
};

/* *ret_json: NULL where nothing has changed. */
int monitor_room_look(struct monitor_room *room, struct hl_bus *bus, hl_json **ret_json, struct hl_err *err);

void monitor_room_free(struct monitor_room *room);

#endif
