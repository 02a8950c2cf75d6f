/* SPDX-License-Identifier: MIT */
#include "drain.h"

#include "base/clock.h"
#include "base/mem.h"
#include "models/last_use.h"
#include "models/requests.h"
#include "systemd/units.h"

#include <time.h>

#define LOOK_EVERY_US (100 * HL_USEC_PER_MSEC) /* the kernel has no event for "the answer was sent" */
#define ANNOUNCED_US HL_USEC_PER_SEC           /* a request announced so shortly ago may be on its way to the model */
/* Where requests follow each other, a gap between two in which a stop has room is better than the deadline, which cuts one
 * in the middle. */
#define HURRY_LOOKS 4 /* without a request, one after the other */
#define HURRY_PART 4  /* the last quarter of the time, at most HURRY_MAX_US */
#define HURRY_MAX_US (2 * HL_USEC_PER_SEC)
#define HURRY_LOOK_EVERY_US (10 * HL_USEC_PER_MSEC)

static int look(const struct hl_model *model, uint64_t cgroup, unsigned *ret_left, struct hl_err *err)
{
        struct hl_traffic traffic;
        uint16_t port;
        int r = hl_sockets_read_unit(model->port, cgroup, &traffic, &port, err);
        if (r >= 0)
                *ret_left = hl_requests_running(port, &traffic, false);
        return r;
}

int hl_drain(struct hl_bus *bus, const struct hl_model *model, uint64_t deadline_us, unsigned *ret_left, int *ret_hold,
             struct hl_err *err)
{
        uint64_t cgroup, began_us = hl_clock_monotonic();
        uint64_t hurry_us = began_us < deadline_us ? (deadline_us - began_us) / HURRY_PART : 0;
        if (hurry_us > HURRY_MAX_US)
                hurry_us = HURRY_MAX_US;
        int r = hl_units_cgroup(bus, model->unit, &cgroup, err);
        if (r < 0)
                return r;
        for (unsigned gap = 0;;) {
                unsigned left = 0;
                r = look(model, cgroup, &left, err);
                if (r < 0)
                        return r;
                uint64_t now_us = hl_clock_monotonic();
                bool hurry = now_us + hurry_us >= deadline_us, late = now_us + HURRY_LOOK_EVERY_US >= deadline_us;
                gap = left == 0 ? gap + 1 : 0;
                if (left == 0 || late) {
                        HL_CLEANUP(hl_close_fd) int hold = -1;
                        struct hl_last_use activity;
                        r = hl_last_use_lock(model->name, &hold, err);
                        if (r >= 0)
                                r = look(model, cgroup, &left, err);
                        if (r < 0)
                                return r;
                        hl_last_use_read(model->name, &activity);
                        if ((left == 0 && ((hurry && gap >= HURRY_LOOKS) || activity.age_us > ANNOUNCED_US)) || late) {
                                *ret_left = left;
                                *ret_hold = hold;
                                hold = -1;
                                return 0;
                        }
                }
                struct timespec pause = { .tv_nsec = (long)((hurry ? HURRY_LOOK_EVERY_US : LOOK_EVERY_US) * 1000) };
                nanosleep(&pause, NULL);
        }
}
