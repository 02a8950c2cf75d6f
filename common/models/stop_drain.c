/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "last_use.h"
#include "requests.h"
#include "systemd/units.h"
#include "turnstile.h"

#include <errno.h>

#define LOOK_EVERY_US (100 * HL_USEC_PER_MSEC) /* the kernel has no event for "the answer was sent" */
/* Where requests follow each other, a gap between two in which a stop has room is better than the deadline, which cuts
 * one in the middle. */
#define GAP_LOOKS 4    /* without a request, one after the other */
#define LAST_QUARTER 4 /* of the time, at most HURRY_MAX_US */
#define HURRY_MAX_US (2 * HL_USEC_PER_SEC)
#define HURRY_LOOK_EVERY_US (10 * HL_USEC_PER_MSEC)

struct drain {
        struct hl_stop *stop;
        const struct hl_wait *wait;
        uint64_t cgroup, hurry_at_us;
        uint64_t closed_us; /* since then nothing comes by NGINX, and who has announced a request has sent it */
        unsigned gap;       /* looks without a request, one after the other */
};

static int look(const struct drain *d, unsigned *ret_left, struct hl_err *err)
{
        return hl_requests_of_unit(d->stop->model->port, d->cgroup, ret_left, err);
}

/* A look at a model that is held. 1: this is the moment, and the model stays held. */
static int look_held(const struct drain *d, bool hurry, bool is_deadline, unsigned *left, struct hl_err *err)
{
        struct hl_stop *stop = d->stop;
        struct hl_last_use use;
        int r = hl_last_use_lock(stop->model->name, &stop->lock_fd, err);
        if (r >= 0)
                r = look(d, left, err);
        if (r < 0)
                return r;
        hl_last_use_read(stop->model->name, &use);
        bool is_gap = d->gap >= GAP_LOOKS && (hurry || hl_clock_monotonic() >= d->closed_us);
        stop->is_quiet = *left == 0 && (is_deadline || is_gap || use.age_us > HL_LAST_USE_ANNOUNCED_US);
        if (stop->is_quiet)
                return 1;
        hl_close_fd(&stop->lock_fd);
        stop->lock_fd = -1;
        return is_deadline;
}

static int drain(struct drain *d, unsigned *ret_left, struct hl_err *err)
{
        for (;;) {
                unsigned left = 0;
                int r = look(d, &left, err);
                if (r < 0)
                        return r;
                uint64_t now_us = hl_clock_monotonic();
                bool hurry = now_us >= d->hurry_at_us,
                     is_deadline = now_us + HURRY_LOOK_EVERY_US >= d->wait->deadline_us;
                d->gap = left == 0 ? d->gap + 1 : 0;
                if (left == 0 || is_deadline)
                        r = look_held(d, hurry, is_deadline, &left, err);
                if (r > 0)
                        *ret_left = left;
                if (r != 0)
                        return r < 0 ? r : 0;
                if (hl_sleep_or_hangup(d->wait->client_fd, hurry ? HURRY_LOOK_EVERY_US : LOOK_EVERY_US))
                        return hl_fail(err, HL_ERR_CANCELLED, ECANCELED, "client_left",
                                       "the client has left, and %s is not stopped", d->stop->model->name);
        }
}

int hl_stop_drain(struct hl_stop *stop, struct hl_bus *bus, const struct hl_model *model, const struct hl_wait *wait,
                  unsigned *ret_left, struct hl_err *err)
{
        uint64_t now_us = hl_clock_monotonic(), deadline_us = wait->deadline_us;
        uint64_t hurry_us = now_us < deadline_us ? (deadline_us - now_us) / LAST_QUARTER : 0;
        *stop = HL_STOP_INIT;
        stop->model = model;
        stop->job = (struct hl_job){ .bus = bus, .verb = HL_JOB_STOP, .name = model->unit };
        struct drain d = { .stop = stop, .wait = wait };
        d.hurry_at_us = deadline_us - (hurry_us < HURRY_MAX_US ? hurry_us : HURRY_MAX_US);
        if (wait->on_queued) /* nothing is lost if this process ends with its client */
                wait->on_queued();
        int r = hl_units_cgroup(bus, model->unit, &d.cgroup, err);
        if (r >= 0)
                r = hl_turnstile_raise(model->name, &stop->turnstile_fd, err);
        if (r < 0)
                return r;
        hl_sleep_or_hangup(wait->client_fd, HL_TURNSTILE_SETTLE_US);
        d.closed_us = hl_clock_monotonic() + HL_LAST_USE_ANNOUNCED_US;
        return drain(&d, ret_left, err);
}
