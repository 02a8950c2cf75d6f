#include "ready.h"

#include "activity.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "inflight.h"
#include "nginx_ports.h"
#include "probe.h"
#include "ready_mark.h"

#include <errno.h>
#include <string.h>

#define STATE_PROBE_US (500 * HL_USEC_PER_MSEC) /* for a look at the state */
#define WAIT_PROBE_US (2 * HL_USEC_PER_SEC)     /* for one try of a wait */
#define FIRST_PAUSE_US                                                                                                 \
        (20 * HL_USEC_PER_MSEC) /* a server cannot tell us that it is ready: it is asked, ever less often */
#define LAST_PAUSE_US (250 * HL_USEC_PER_MSEC)
#define NOTE_EVERY_US HL_USEC_PER_SEC /* that somebody waits for it: however long it loads, it is not idle */

const char *hl_model_state_name(enum hl_model_state state)
{
        static const char *const names[] = { [HL_MODEL_UNLOADED] = "unloaded",
                                             [HL_MODEL_LOADING] = "loading",
                                             [HL_MODEL_LOADED] = "loaded",
                                             [HL_MODEL_FAILED] = "failed" };
        return names[state];
}

/* A server that wants a key for its health path has finished loading, too. */
bool hl_ready_status(int status)
{
        return (status >= 200 && status < 400) || status == 401 || status == 403;
}

enum hl_model_state hl_ready_state(const struct hl_model *model, enum hl_unit_active active)
{
        switch (active) {
        case HL_UNIT_FAILED:
                return HL_MODEL_FAILED;
        case HL_UNIT_STARTING:
                return HL_MODEL_LOADING;
        case HL_UNIT_ACTIVE:
                break;
        case HL_UNIT_INACTIVE:
        case HL_UNIT_STOPPING:
                return HL_MODEL_UNLOADED;
        }
        if (model->port == 0)
                return HL_MODEL_LOADED;
        uint64_t now_us = hl_clock_monotonic();
        int status = hl_probe(model->port, model->health_path, now_us + STATE_PROBE_US);
        if (hl_ready_status(status))
                hl_ready_mark(model->name, now_us);
        return hl_ready_status(status) || status == -ETIMEDOUT ? HL_MODEL_LOADED : HL_MODEL_LOADING;
}

int hl_ready_timeout(const struct hl_model *model, int status, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer)
        char *last = status < 0 ? hl_strdup(strerror(-status)) : hl_format("status %d", status);
        return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "not_ready",
                       "%s is running but not ready in time: port %u, %s: %s; it goes on loading (START_TIMEOUT and "
                       "HEALTH_PATH in %s)",
                       model->name, model->port, model->health_path, last, model->file_path);
}

int hl_ready_check_port(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err)
{
        struct hl_listener listener;
        const char *unit = model->unit;
        enum hl_unit_active active;
        if (model->port == 0)
                return 0;
        int r = hl_units_states(bus, &unit, 1, &active, err);
        if (r < 0 || (active != HL_UNIT_INACTIVE && active != HL_UNIT_FAILED))
                return r;
        r = hl_nginx_ports_check(bus, model, err);
        if (r < 0)
                return r;
        r = hl_inflight_listener(model->port, &listener, err);
        bool ours = model->port >= HL_SERVICE_PORT_FIRST && model->port <= HL_SERVICE_PORT_LAST;
        if (r <= 0 || (listener.uid == 0 && !ours)) /* root's may be the model's: Docker's proxy */
                return r < 0 ? r : 0;
        return hl_fail(err, HL_ERR_CONFLICT, EADDRINUSE, "port_in_use",
                       "port %u of %s is used by another program: \"ss -ltnp\" as root says which", model->port,
                       model->name);
}

int hl_ready_wait(struct hl_bus *bus, const struct hl_model *model, uint64_t deadline_us, struct hl_err *err)
{
        if (model->port == 0)
                return hl_fail(err, HL_ERR_CONFLICT, EINVAL, "model_without_port",
                               "%s has no PORT to be asked on: add one to %s", model->name, model->file_path);
        uint64_t note_us = hl_clock_monotonic() + NOTE_EVERY_US;
        for (uint64_t pause_us = FIRST_PAUSE_US;;
             pause_us = pause_us * 3 / 2 < LAST_PAUSE_US ? pause_us * 3 / 2 : LAST_PAUSE_US) {
                uint64_t now = hl_clock_monotonic(), probe_us = now + WAIT_PROBE_US;
                int status = hl_probe(model->port, model->health_path, probe_us < deadline_us ? probe_us : deadline_us);
                const char *name = model->unit;
                enum hl_unit_active active;
                int r = hl_units_states(bus, &name, 1, &active, err);
                if (r < 0)
                        return r;
                if (active == HL_UNIT_FAILED || active == HL_UNIT_INACTIVE)
                        return hl_units_ended(bus, name, err);
                if (hl_ready_status(status) && active == HL_UNIT_ACTIVE) {
                        hl_ready_mark(model->name, now);
                        return 0;
                }
                if (hl_clock_monotonic() >= note_us) {
                        struct hl_err ignored = { 0 };
                        hl_activity_touch(model->name, &ignored);
                        note_us = hl_clock_monotonic() + NOTE_EVERY_US;
                }
                if (hl_clock_monotonic() + pause_us >= deadline_us)
                        return hl_ready_timeout(model, status, err);
                if (hl_pause(bus->client_fd, pause_us))
                        return hl_bus_fail_left(err, model->unit);
        }
}
