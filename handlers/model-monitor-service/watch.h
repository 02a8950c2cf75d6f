/* SPDX-License-Identifier: MIT */
/* watch.h - that something may have changed: a model's unit, the models' files, who waits for room, the shutdown's
 * schedule.
 *
 * Shape    hints, from which nothing is decided: whoever has one looks at what is so. They are systemd's signals and
 *          inotify's, so nothing is asked while nothing happens.
 * Errors   as in bus.h. A folder that cannot be watched is not.
 * Owner    monitor_watch_close(). The bus is the watch's own: systemd sends signals as long as it is connected.
 * Source   org.freedesktop.systemd1(5): Subscribe; inotify(7).
 * Tests    tests/system/test_events.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_WATCH_H
#define HL_MODEL_MONITOR_SERVICE_WATCH_H

#include "config/config.h"
#include "systemd/bus.h"

#include <stdbool.h>

struct monitor_watch {
        bool models, room, shutdown; /* may have changed since the caller set this to false */
        struct hl_bus bus;           /* for the caller's own calls, too */
        int fd;                      /* readable when there is something for monitor_watch_take_in() */

        sd_bus_slot *slot;
        char *units; /* what the bus calls the models' units: the part that they share */
        int inotify_fd, models_wd, room_wd, shutdown_wd;
};

#define MONITOR_WATCH_INIT ((struct monitor_watch){ .bus = HL_BUS_INIT, .fd = -1, .inotify_fd = -1 })

int monitor_watch_open(struct monitor_watch *watch, const struct hl_config *config, struct hl_err *err);
void monitor_watch_close(struct monitor_watch *watch);

/* Takes in what was told. A call of the bus may have taken some of it from fd. */
int monitor_watch_take_in(struct monitor_watch *watch, struct hl_err *err);

#endif
