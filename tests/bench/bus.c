/* SPDX-License-Identifier: MIT */
/* bus - what a bare call of systemd's costs on a connection that is open: "bus REQUESTS", one line as load's.
 *
 * DBUS_SYSTEM_BUS_ADDRESS says which bus.
 */
#include "bus_call.h"

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_us(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
        size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
        uint64_t *took_us = calloc(count, sizeof(*took_us));
        if (!took_us || count == 0)
                errx(2, "bus REQUESTS");
        sd_bus *bus = bus_open();
        bus_call(bus);
        uint64_t began_us = now_us();
        for (size_t i = 0; i < count; i++) {
                uint64_t before_us = now_us();
                bus_call(bus);
                took_us[i] = now_us() - before_us;
        }
        double seconds = (double)(now_us() - began_us) / 1e6;
        qsort(took_us, count, sizeof(*took_us), by_size);
        printf("{\"requests\": %zu, \"failed\": 0, \"seconds\": %.6f, \"status\": 200, \"bytes\": 0, \"p50_us\": %ju, "
               "\"p99_us\": %ju, \"max_us\": %ju, \"first_us\": %ju}\n",
               count, seconds, (uintmax_t)took_us[count / 2], (uintmax_t)took_us[count * 99 / 100],
               (uintmax_t)took_us[count - 1], (uintmax_t)took_us[count / 2]);
        sd_bus_flush_close_unref(bus);
        free(took_us);
        return 0;
}
