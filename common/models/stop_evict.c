/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include "last_use.h"
#include "requests.h"
#include "systemd/units.h"

static int look(const struct hl_model *model, struct hl_bus *bus, unsigned *ret_in_flight, struct hl_err *err)
{
        uint64_t cgroup;
        int r = hl_units_cgroup(bus, model->unit, &cgroup, err);
        return r < 0 ? r : hl_requests_of_unit(model->port, cgroup, ret_in_flight, err);
}

int hl_stop_hold(struct hl_stop *stop, struct hl_bus *bus, const struct hl_model *model, struct hl_err *err)
{
        unsigned in_flight = 0;
        *stop = HL_STOP_INIT;
        stop->model = model;
        stop->job = (struct hl_job){ .bus = bus, .verb = HL_JOB_STOP, .name = model->unit };
        int r = hl_last_use_lock(model->name, &stop->lock_fd, err);
        if (r >= 0)
                r = look(model, bus, &in_flight, err);
        stop->is_quiet = r >= 0 && in_flight == 0;
        if (!stop->is_quiet)
                hl_stop_free(stop);
        return r < 0 ? r : stop->is_quiet;
}
