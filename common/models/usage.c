/* SPDX-License-Identifier: MIT */
#include "usage.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "keep.h"
#include "kernel/sockets.h"
#include "last_use.h"
#include "readiness.h"
#include "ready_mark.h"
#include "requests.h"
#include "states.h"
#include "verdict.h"
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* CLOCK_REALTIME of something that happened age_us ago. */
static uint64_t ago(uint64_t now_us, uint64_t age_us)
{
        return age_us < now_us ? now_us - age_us : 1;
}

static uint64_t earlier(uint64_t a_us, uint64_t b_us)
{
        return a_us < b_us ? a_us : b_us;
}

/* One look at all models, to which each of them adds what else must be known of it. Arrays of catalog->count items. */
struct gathering {
        struct hl_bus *bus;
        const struct hl_config *config;
        const struct hl_catalog *catalog;
        bool may_ask;
        const enum hl_unit_state *known; /* NULL: systemd is to be asked */
        enum hl_unit_state *states;
        struct hl_traffic *traffic;
        struct hl_usage *usages;
        bool *may_work;               /* whether a model loads can be seen by its work alone */
        struct hl_listing used, kept; /* of which models there are files, where many are looked at */
};

/* Only of what is up it matters who is connected; of all, where the host is switched off once nobody is. */
static bool may_be_used(const struct gathering *g, size_t i)
{
        return (g->states[i] != HL_UNIT_INACTIVE && g->states[i] != HL_UNIT_FAILED) ||
               g->config->host_idle_us != HL_USEC_INFINITY;
}

static int look_at_all(struct gathering *g, struct hl_err *err)
{
        size_t count = g->catalog->count;
        HL_CLEANUP(hl_free_pointer) uint16_t *ports = hl_alloc(count * sizeof(*ports));
        int r = 0;
        if (g->known)
                memcpy(g->states, g->known, count * sizeof(*g->states));
        else
                r = hl_states_read(g->bus, g->config, g->catalog, g->states, err);
        for (size_t i = 0; r == 0 && i < count; i++)
                ports[i] = may_be_used(g, i) ? g->catalog->models[i].port : 0;
        return r < 0 ? r : hl_sockets_read(ports, count, g->traffic, err);
}

/* What files say: its last use, and for how long it is kept. */
static void read_files(const struct gathering *g, struct hl_usage *u, const char *model)
{
        struct hl_last_use activity = { .age_us = HL_USEC_INFINITY };
        if (hl_listing_may_have(&g->used, model))
                hl_last_use_read(model, &activity);
        if (hl_listing_may_have(&g->kept, model))
                u->kept_us = hl_keep_left(model);
        u->reported_at_us = activity.at_us;
        u->needs_rebase = activity.needs_rebase;
        u->report_age_us = u->request_age_us = u->idle_us = activity.age_us;
}

static void set_traffic(struct hl_usage *u, const struct hl_traffic *t)
{
        u->in_flight = t->in_flight;
        u->unreported = t->direct;
        u->traffic_age_us = HL_USEC_INFINITY;
        if (t->last_byte_age_ms != HL_AGE_NEVER) {
                u->traffic_age_us = t->last_byte_age_ms * HL_USEC_PER_MSEC;
                u->traffic_at_us = ago(hl_clock_realtime(), u->traffic_age_us);
        }
        u->request_age_us = earlier(u->report_age_us, u->traffic_age_us); /* a second look has the last word */
        u->idle_us = earlier(u->idle_us, u->traffic_age_us);
}

static void set_start(struct hl_usage *u, uint64_t age_us)
{
        u->started_at_us = ago(hl_clock_realtime(), age_us);
        u->start_age_us = age_us;
        u->idle_us = earlier(u->request_age_us, age_us);
}

/* Whether the model is unused for longer than an idle timeout, its own or the host's. */
static bool is_quiet(const struct hl_usage *u, const struct hl_model *model, const struct hl_config *config)
{
        return u->idle_us > earlier(model->idle_timeout_us, config->host_idle_us);
}

/* Whether the model started too recently to be idle, by the mark of its unit's start; takes that start then. The mark
 * is wrong where the host was suspended or its clock changed, so systemd is asked about every other model. */
static bool is_young(struct hl_usage *u, const struct hl_model *model, const struct hl_config *config)
{
        uint64_t about_us = hl_unit_start_hint(model->unit), now_us = hl_clock_realtime();
        if (about_us == 0 || about_us > now_us)
                return false;
        set_start(u, now_us - about_us);
        return !is_quiet(u, model, config);
}

/* Since when the running models run. */
static int read_starts(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                       struct hl_usage *usages, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) const char **units = hl_alloc(catalog->count * sizeof(*units));
        HL_CLEANUP(hl_free_pointer) uint64_t *since_us = hl_alloc(catalog->count * sizeof(*since_us));
        HL_CLEANUP(hl_free_pointer) struct hl_usage **asked = hl_alloc(catalog->count * sizeof(*asked));
        size_t n = 0;
        for (size_t i = 0; i < catalog->count; i++)
                if (usages[i].active == HL_UNIT_ACTIVE && !is_young(&usages[i], &catalog->models[i], config)) {
                        asked[n] = &usages[i];
                        units[n++] = catalog->models[i].unit;
                }
        int r = hl_units_active_since(bus, units, n, since_us, err);
        uint64_t monotonic_us = hl_clock_monotonic();
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (since_us[i])
                        set_start(asked[i], monotonic_us - since_us[i]);
        return r;
}

/* Whether the model's file is newer than the model's start. A file that is moved into place keeps its modification
 * time; its change time tells. */
static bool is_file_newer(const struct hl_usage *u, const struct hl_model *model)
{
        struct stat file;
        if (stat(model->file_path, &file) < 0)
                return false;
        return hl_timespec_us(file.st_mtim) > u->started_at_us || hl_timespec_us(file.st_ctim) > u->started_at_us;
}

/* Whether nobody listens on the port of a model whose file is newer than its start. Its server may listen on the old
 * port, and nobody can tell who uses it there. */
static bool has_moved(const struct hl_model *model)
{
        struct hl_listener listener;
        struct hl_err ignored = { 0 };
        return model->port != 0 && hl_sockets_listener(model->port, &listener, &ignored) == 0;
}

/* Reads the model's traffic where its server listens, which may be another port than its file names. Returns as
 * hl_sockets_read_unit(). */
static int look_closer(struct hl_bus *bus, const struct hl_model *model, struct hl_traffic *traffic, uint16_t *ret_port,
                       struct hl_err *err)
{
        uint64_t cgroup;
        int r = hl_units_cgroup(bus, model->unit, &cgroup, err);
        return r < 0 ? r : hl_sockets_read_unit(model->port, cgroup, traffic, ret_port, err);
}

/* Whether the model loads still. In its START_TIMEOUT a model that is not ready does. Later its server must say so, or
 * be seen at work: *ret_may_work, where only that is left to look at. A model that was ready since its start does not
 * load, whatever it says. */
static bool does_load(const struct hl_model *model, const struct hl_usage *u, bool *ret_may_work)
{
        if (model->port == 0)
                return false;
        int status = hl_readiness_ask(model);
        if (hl_status_means_ready(status))
                return false;
        bool was_ready = hl_ready_mark_since(model->name, hl_us_minus(hl_clock_monotonic(), u->start_age_us));
        if (status == -ETIMEDOUT && was_ready) /* it is too busy to answer */
                return false;
        if (u->start_age_us <= model->start_timeout_us)
                return true;
        *ret_may_work = !was_ready && status != HL_STATUS_LOADING;
        return !was_ready && status == HL_STATUS_LOADING;
}

static struct hl_verdict verdict_of(const struct gathering *g, size_t i)
{
        return hl_verdict_decide(g->config, &g->catalog->models[i], &g->usages[i]);
}

/* What is asked next depends on what the facts so far would mean. */
static int look_at(struct gathering *g, size_t i, struct hl_err *err)
{
        const struct hl_model *model = &g->catalog->models[i];
        struct hl_traffic *traffic = &g->traffic[i];
        struct hl_usage *u = &g->usages[i];
        uint16_t port = model->port;
        int found = 0;
        bool is_newer = u->active == HL_UNIT_ACTIVE && is_file_newer(u, model);
        if (is_newer || (u->active == HL_UNIT_ACTIVE && is_quiet(u, model, g->config))) {
                found = look_closer(g->bus, model, traffic, &port, err);
                if (found < 0)
                        return found;
                set_traffic(u, traffic);
        }
        if (g->may_ask && verdict_of(g, i).is_overdue)
                u->in_flight = hl_requests_running(port, traffic, true);
        if (u->in_flight > 0 && traffic->in_flight == 0)
                u->unreported = u->in_flight;
        if (verdict_of(g, i).reason != HL_VERDICT_IDLE)
                return 0;
        u->loads = g->may_ask && does_load(model, u, &g->may_work[i]);
        u->moved = !found && is_newer && has_moved(model);
        return 0;
}

/* Of all that may work at once, for that takes its time. */
static void see_work(struct gathering *g)
{
        size_t count = g->catalog->count, n = 0, k = 0;
        HL_CLEANUP(hl_free_pointer) const char **units = hl_alloc(count * sizeof(*units));
        HL_CLEANUP(hl_free_pointer) bool *seen = hl_alloc(count * sizeof(*seen));
        for (size_t i = 0; i < count; i++)
                if (g->may_work[i])
                        units[n++] = g->catalog->models[i].unit;
        if (n > 0)
                hl_work_seen(units, n, seen);
        for (size_t i = 0; i < count; i++)
                if (g->may_work[i] && seen[k++])
                        g->usages[i].loads = true;
}

static int gather(struct gathering *g, struct hl_err *err)
{
        const struct hl_catalog *catalog = g->catalog;
        int r = look_at_all(g, err);
        if (r >= 0 && catalog->count > 1) {
                g->used = hl_last_use_list();
                g->kept = hl_keep_list();
        }
        for (size_t i = 0; r >= 0 && i < catalog->count; i++) {
                g->usages[i].active = g->states[i];
                read_files(g, &g->usages[i], catalog->models[i].name);
                set_traffic(&g->usages[i], &g->traffic[i]);
        }
        if (r >= 0)
                r = read_starts(g->bus, g->config, catalog, g->usages, err);
        for (size_t i = 0; r >= 0 && i < catalog->count; i++)
                r = look_at(g, i, err);
        if (r >= 0)
                see_work(g);
        return r;
}

static int read_usage(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                      const enum hl_unit_state *known, bool may_ask, struct hl_usage **ret_usages, struct hl_err *err)
{
        size_t count = catalog->count;
        struct gathering g = { .bus = bus,
                               .config = config,
                               .catalog = catalog,
                               .may_ask = may_ask,
                               .known = known,
                               .states = hl_alloc(count * sizeof(*g.states)),
                               .traffic = hl_alloc(count * sizeof(*g.traffic)),
                               .usages = hl_alloc(count * sizeof(*g.usages)),
                               .may_work = hl_alloc(count * sizeof(*g.may_work)) };
        int r = gather(&g, err);
        if (r >= 0)
                *ret_usages = hl_steal(g.usages);
        free(g.states);
        free(g.traffic);
        free(g.usages);
        free(g.may_work);
        hl_listing_free(&g.used);
        hl_listing_free(&g.kept);
        return r < 0 ? r : 0;
}

int hl_usage_ask(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                 struct hl_usage **ret_usages, struct hl_err *err)
{
        return read_usage(bus, config, catalog, NULL, true, ret_usages, err);
}

int hl_usage_ask_known(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                       const enum hl_unit_state *states, struct hl_usage **ret_usages, struct hl_err *err)
{
        return read_usage(bus, config, catalog, states, true, ret_usages, err);
}

int hl_usage_observe(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                     struct hl_usage **ret_usages, struct hl_err *err)
{
        return read_usage(bus, config, catalog, NULL, false, ret_usages, err);
}

uint64_t hl_usage_last_activity(const struct hl_usage *usage)
{
        return usage->reported_at_us > usage->traffic_at_us ? usage->reported_at_us : usage->traffic_at_us;
}
