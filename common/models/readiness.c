/* SPDX-License-Identifier: MIT */
#include "readiness.h"

#include "ask.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "last_use.h"
#include "listening.h"
#include "nginx/ports.h"
#include "owner.h"
#include "ready_mark.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STATE_PROBE_US (500 * HL_USEC_PER_MSEC)  /* for a look at the state */
#define NOTE_EVERY_US HL_USEC_PER_SEC            /* that somebody waits for it: however long it loads, it is not idle */
#define CLIENT_EVERY_US (250 * HL_USEC_PER_MSEC) /* whether who waits is still there */
#define ELSEWHERE_US HL_USEC_PER_SEC             /* for so long it must listen elsewhere */

const char *hl_model_state_name(enum hl_model_state state)
{
        static const char *const names[] = { [HL_MODEL_UNLOADED] = "unloaded",
                                             [HL_MODEL_LOADING] = "loading",
                                             [HL_MODEL_LOADED] = "loaded",
                                             [HL_MODEL_FAILED] = "failed" };
        return names[state];
}

/* A server that wants a key for its health path has finished loading, too. */
bool hl_status_means_ready(int status)
{
        return (status >= 200 && status < 400) || status == 401 || status == 403;
}

static bool is_strangers(const struct hl_model *model)
{
        struct hl_owner owner;
        struct hl_err ignored = { 0 };
        if (hl_owner_find(model->port, model->unit, &owner, &ignored) < 0)
                return false;
        bool is = owner.kind == HL_OWNER_STRANGER;
        hl_owner_free(&owner);
        return is;
}

/* The same answer, unless somebody else gave it. */
static int own_status(const struct hl_model *model, int status, uint64_t asked_us)
{
        if (!hl_status_means_ready(status))
                return status;
        if (is_strangers(model))
                return -EADDRINUSE;
        hl_ready_mark(model->name, asked_us);
        return status;
}

int hl_readiness_ask(const struct hl_model *model)
{
        uint64_t now_us = hl_clock_monotonic();
        return own_status(model, hl_probe(model->port, model->health_path, now_us + STATE_PROBE_US), now_us);
}

/* systemd's mark of the start is on the clock that may be changed, ours is on the one that may not. */
bool hl_readiness_was_seen(const struct hl_model *model)
{
        uint64_t started_us = hl_unit_start_hint(model->unit);
        if (started_us == 0 || started_us > hl_clock_realtime())
                return true;
        return hl_ready_mark_since(model->name, hl_clock_monotonic_of(started_us));
}

bool hl_readiness_is_strangers(const struct hl_model *model)
{
        return !hl_readiness_was_seen(model) && is_strangers(model); /* what was seen ready has its port */
}

enum hl_model_state hl_readiness_meaning(const struct hl_model *model, int status)
{
        if (hl_status_means_ready(status) || (status == -ETIMEDOUT && hl_readiness_was_seen(model)))
                return HL_MODEL_LOADED;
        return HL_MODEL_LOADING;
}

enum hl_model_state hl_readiness_state(const struct hl_model *model, enum hl_unit_state active)
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
        return model->port == 0 ? HL_MODEL_LOADED : hl_readiness_meaning(model, hl_readiness_ask(model));
}

int hl_fail_not_ready(const struct hl_model *model, int status, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer)
        char *last = status < 0 ? hl_strdup(strerror(-status)) : hl_format("status %d", status);
        return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "not_ready",
                       "%s is running but not ready in time: port %u, %s: %s; it goes on loading (START_TIMEOUT and "
                       "HEALTH_PATH in %s)",
                       model->name, model->port, model->health_path, last, model->file_path);
}

int hl_readiness_check_port(struct hl_bus *bus, const struct hl_model *model, struct hl_err *err)
{
        struct hl_owner owner = { 0 };
        enum hl_unit_state active;
        int r = hl_model_readable(model, err);
        if (r < 0 || model->port == 0)
                return r;
        r = hl_unit_state_of(bus, model->unit, &active, err);
        if (r < 0 || (active != HL_UNIT_INACTIVE && active != HL_UNIT_FAILED))
                return r;
        r = hl_nginx_ports_check(bus, model, err);
        if (r >= 0)
                r = hl_owner_find(model->port, model->unit, &owner, err);
        if (r < 0 || owner.kind == HL_OWNER_NOBODY)
                return r;
        bool ours = model->port >= HL_SERVICE_PORT_FIRST && model->port <= HL_SERVICE_PORT_LAST;
        /* Of a unit that does not run nobody is there; root's may be the model's all the same: Docker's proxy. */
        bool free = owner.listener.uid == 0 && owner.kind != HL_OWNER_STRANGER && !ours;
        HL_CLEANUP(hl_free_pointer) char *who = hl_owner_describe(&owner, model);
        hl_owner_free(&owner);
        if (free)
                return 0;
        return hl_fail(err, HL_ERR_CONFLICT, EADDRINUSE, "port_in_use", "%s: stop it, or give %s another PORT in %s",
                       who, model->name, model->file_path);
}

/* ---- a wait ---- */

/* Where it listens matters only while nobody answers on PORT. */
static int look_elsewhere(struct hl_readiness_watch *w, uint64_t now_us, struct hl_err *err)
{
        struct hl_listening listening;
        if (w->status >= 0 || now_us < w->looked_us + HL_ASK_WATCH_US)
                return 0;
        hl_listening_look(w->model, &listening);
        w->looked_us = now_us;
        if (listening.where != HL_LISTENS_ELSEWHERE || !listening.is_certain) {
                w->elsewhere_us = 0;
                return 0;
        }
        w->elsewhere_us = w->elsewhere_us ? w->elsewhere_us : now_us;
        if (now_us < w->elsewhere_us + ELSEWHERE_US)
                return 0;
        return hl_fail(err, HL_ERR_UPSTREAM, EIO, "wrong_port", "%s; it goes on running", listening.sentence);
}

/* A model that says that it is not ready runs: systemd's mark of its start is looked at instead of systemd. */
static bool is_known_to_run(const struct hl_readiness_watch *w, int status, uint64_t now_us)
{
        return status != -EAGAIN && !hl_status_means_ready(status) && now_us < w->unit_us + HL_ASK_WATCH_US &&
               hl_unit_start_hint(w->model->unit) > 0;
}

int hl_readiness_watch_check(struct hl_readiness_watch *w, int status, uint64_t asked_us, struct hl_err *err)
{
        const char *unit = w->model->unit;
        uint64_t now_us = hl_clock_monotonic();
        enum hl_unit_state active;
        if (status != -EAGAIN)
                w->status = status;
        if (is_known_to_run(w, status, now_us))
                return 0;
        w->unit_us = now_us;
        int r = hl_unit_state_of(w->bus, unit, &active, err);
        if (r < 0)
                return r;
        if (active == HL_UNIT_FAILED || active == HL_UNIT_INACTIVE)
                return hl_fail_unit_ended(w->bus, unit, err);
        if (active != HL_UNIT_ACTIVE)
                return 0;
        if (hl_status_means_ready(status)) {
                w->status = own_status(w->model, status, asked_us);
                return hl_status_means_ready(w->status);
        }
        return look_elsewhere(w, now_us, err);
}

/* Until the next step of the questions, at most until the deadline, and no longer than the client is there. */
static int pause_until(const struct hl_ask *ask, const struct hl_wait *wait, uint64_t again_us)
{
        uint64_t next_us = hl_clock_monotonic() + CLIENT_EVERY_US;
        next_us = again_us < next_us ? again_us : next_us;
        hl_wait_fd(ask->epoll, POLLIN, next_us < wait->deadline_us ? next_us : wait->deadline_us);
        return hl_sleep_or_hangup(wait->client_fd, 0) ? -ECANCELED : 0;
}

int hl_readiness_wait(struct hl_bus *bus, const struct hl_model *model, const struct hl_wait *wait, struct hl_err *err)
{
        int askable = hl_model_has_port(model, err);
        if (askable < 0)
                return askable;
        struct hl_readiness_watch watch = { .bus = bus, .model = model, .status = -ETIMEDOUT };
        HL_CLEANUP(hl_ask_end) struct hl_ask ask;
        uint64_t asked_us = 0, again_us, now_us = hl_clock_monotonic();
        uint64_t note_us = now_us + NOTE_EVERY_US, watch_us = now_us + HL_ASK_WATCH_US;
        if (hl_ask_begin(&ask, model->port, model->health_path) < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "epoll: %m");
        for (;;) {
                int status = hl_ask_step(&ask, &asked_us, &again_us), r = 0;
                now_us = hl_clock_monotonic();
                if (status != -EAGAIN || now_us >= watch_us) {
                        r = hl_readiness_watch_check(&watch, status, asked_us, err);
                        watch_us = now_us + HL_ASK_WATCH_US;
                }
                if (r != 0)
                        return r < 0 ? r : 0;
                if (now_us >= note_us) {
                        struct hl_err ignored = { 0 };
                        hl_last_use_record(model->name, &ignored);
                        note_us = now_us + NOTE_EVERY_US;
                }
                if (now_us >= wait->deadline_us)
                        return hl_fail_not_ready(model, watch.status, err);
                if (pause_until(&ask, wait, again_us) < 0)
                        return hl_fail_client_left(err, model->unit);
        }
}
