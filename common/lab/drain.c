#include "drain.h"

#include "activity.h"
#include "base/clock.h"
#include "base/mem.h"
#include "busy.h"
#include "units.h"

#include <time.h>

#define LOOK_EVERY_US (100 * HL_USEC_PER_MSEC) /* the kernel has no event for "the answer was sent" */
#define ANNOUNCED_US HL_USEC_PER_SEC           /* a request announced so shortly ago may be on its way to the model */

static int look(const struct hl_model *model, uint64_t cgroup, unsigned *ret_left, struct hl_err *err)
{
        struct hl_traffic traffic;
        uint16_t port;
        int r = hl_inflight_read_unit(model->port, cgroup, &traffic, &port, err);
        if (r >= 0)
                *ret_left = hl_busy(port, &traffic, false);
        return r;
}

int hl_drain(struct hl_bus *bus, const struct hl_model *model, uint64_t deadline_us, unsigned *ret_left, int *ret_hold,
             struct hl_err *err)
{
        uint64_t cgroup;
        int r = hl_units_cgroup(bus, model->unit, &cgroup, err);
        if (r < 0)
                return r;
        for (;;) {
                unsigned left = 0;
                r = look(model, cgroup, &left, err);
                if (r < 0)
                        return r;
                bool late = hl_clock_monotonic() + LOOK_EVERY_US >= deadline_us;
                if (left == 0 || late) {
                        HL_CLEANUP(hl_close_fd) int hold = -1;
                        struct hl_activity activity;
                        r = hl_activity_hold(model->name, &hold, err);
                        if (r >= 0)
                                r = look(model, cgroup, &left, err);
                        if (r < 0)
                                return r;
                        hl_activity_read(model->name, &activity);
                        if ((left == 0 && activity.age_us > ANNOUNCED_US) || late) {
                                *ret_left = left;
                                *ret_hold = hold;
                                hold = -1;
                                return 0;
                        }
                }
                struct timespec pause = { .tv_nsec = (long)(LOOK_EVERY_US * 1000) };
                nanosleep(&pause, NULL);
        }
}
