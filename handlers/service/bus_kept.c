/* SPDX-License-Identifier: MIT */
#include "bus_kept.h"

#include "base/mem.h"

#include <pthread.h>
#include <stddef.h>

#define KEPT_MAX 8 /* more at once are rare, and the bus gives one user 256 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sd_bus *kept[KEPT_MAX];
static size_t count;

struct hl_bus hl_bus_take(void)
{
        struct hl_bus bus = HL_BUS_INIT;
        pthread_mutex_lock(&mutex);
        if (count > 0)
                bus.bus = kept[--count];
        pthread_mutex_unlock(&mutex);
        return bus;
}

static bool keep(sd_bus *bus)
{
        pthread_mutex_lock(&mutex);
        bool fits = count < KEPT_MAX;
        if (fits)
                kept[count++] = bus;
        pthread_mutex_unlock(&mutex);
        return fits;
}

/* What was told meanwhile is nobody's any more: without this it would pile up. */
static bool forget_signals(sd_bus *bus)
{
        int r;
        do
                r = sd_bus_process(bus, NULL);
        while (r > 0);
        return r == 0;
}

void hl_bus_give(struct hl_bus *bus, bool all_well)
{
        if (bus->bus && all_well && (bus->calls == 0 || forget_signals(bus->bus)) && keep(bus->bus))
                bus->bus = NULL;
        hl_bus_free(bus);
}
