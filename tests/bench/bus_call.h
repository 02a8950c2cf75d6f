/* SPDX-License-Identifier: MIT */
/* bus_call.h - the call of systemd's that a list of states cannot do without. Nothing is done with its answer. */
#ifndef HL_BENCH_BUS_CALL_H
#define HL_BENCH_BUS_CALL_H

#include <err.h>
#include <string.h>
#include <systemd/sd-bus.h>

static inline sd_bus *bus_open(void)
{
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);
        if (r < 0)
                errx(1, "the bus: %s", strerror(-r));
        return bus;
}

static inline void bus_call(sd_bus *bus)
{
        sd_bus_message *ask = NULL, *answer = NULL;
        char *patterns[] = { "model@*.service", NULL };
        int r = sd_bus_message_new_method_call(bus, &ask, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                               "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns");
        if (r >= 0)
                r = sd_bus_message_append_strv(ask, NULL);
        if (r >= 0)
                r = sd_bus_message_append_strv(ask, patterns);
        if (r >= 0)
                r = sd_bus_call(bus, ask, 0, NULL, &answer);
        if (r < 0)
                errx(1, "ListUnitsByPatterns: %s", strerror(-r));
        sd_bus_message_unref(answer);
        sd_bus_message_unref(ask);
}

#endif
