#include "drain.h"

#include "base/clock.h"
#include "inflight.h"

#include <time.h>

#define LOOK_EVERY_US (100 * HL_USEC_PER_MSEC) /* the kernel has no event for "the answer was sent" */

int hl_drain(const struct hl_model *model, uint64_t deadline_us, unsigned *ret_left, struct hl_err *err)
{
        for (;;) {
                struct hl_traffic traffic;
                int r = hl_inflight_read(&model->port, 1, &traffic, err);
                if (r < 0)
                        return r;
                if (traffic.in_flight == 0 || hl_clock_monotonic() + LOOK_EVERY_US >= deadline_us) {
                        *ret_left = traffic.in_flight;
                        return 0;
                }
                struct timespec pause = { .tv_nsec = (long)(LOOK_EVERY_US * 1000) };
                nanosleep(&pause, NULL);
        }
}
