#include "usage.h"

#include "activity.h"
#include "base/clock.h"
#include "base/mem.h"
#include "inflight.h"

#include <stdlib.h>

/* CLOCK_REALTIME of something that happened age_us ago. */
static uint64_t ago(uint64_t now_us, uint64_t age_us)
{
        return age_us < now_us ? now_us - age_us : 1;
}

/* A time in the future (the clock was set back) counts as now. */
static uint64_t age(uint64_t now_us, uint64_t at_us)
{
        return at_us == 0 ? HL_NEVER : at_us < now_us ? now_us - at_us : 0;
}

static void judge(struct hl_usage *u, const struct hl_model *model, const struct hl_config *config, uint64_t now_us)
{
        uint64_t request_age_us = age(now_us, hl_usage_last_activity(u)), start_age_us = age(now_us, u->started_at_us);
        u->idle_us = request_age_us < start_age_us ? request_age_us : start_age_us;
        u->is_active = u->in_flight > 0 || request_age_us <= config->active_threshold_us;
        u->is_idle = u->active == HL_UNIT_ACTIVE && u->in_flight == 0 && model->idle_timeout_us != HL_NEVER &&
                     u->idle_us > model->idle_timeout_us;
}

/* Everything that is asked for all models at once; arrays of catalog->count items. */
struct answers {
        enum hl_unit_active *states;
        uint64_t *since_us; /* CLOCK_MONOTONIC */
        struct hl_traffic *traffic;
};

static void free_answers(struct answers *a)
{
        free(a->states);
        free(a->since_us);
        free(a->traffic);
}

static int ask_starts(struct hl_bus *bus, const char *const *units, size_t count, struct answers *a, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) const char **running = hl_alloc(count * sizeof(*running));
        HL_CLEANUP(hl_free_pointer) uint64_t *since_us = hl_alloc(count * sizeof(*since_us));
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
                if (a->states[i] == HL_UNIT_ACTIVE)
                        running[n++] = units[i];
        int r = hl_units_active_since(bus, running, n, since_us, err);
        for (size_t i = 0, j = 0; r >= 0 && i < count; i++)
                if (a->states[i] == HL_UNIT_ACTIVE)
                        a->since_us[i] = since_us[j++];
        return r;
}

static int ask(struct hl_bus *bus, const struct hl_catalog *catalog, struct answers *a, struct hl_err *err)
{
        size_t count = catalog->count;
        HL_CLEANUP(hl_free_pointer) const char **units = hl_alloc(count * sizeof(*units));
        HL_CLEANUP(hl_free_pointer) uint16_t *ports = hl_alloc(count * sizeof(*ports));
        for (size_t i = 0; i < count; i++) {
                units[i] = catalog->models[i].unit;
                ports[i] = catalog->models[i].port;
        }
        int r = hl_units_states(bus, units, count, a->states, err);
        if (r >= 0)
                r = ask_starts(bus, units, count, a, err);
        return r < 0 ? r : hl_inflight_read(ports, count, a->traffic, err);
}

int hl_usage_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                  struct hl_usage **ret_usages, struct hl_err *err)
{
        size_t count = catalog->count;
        HL_CLEANUP(free_answers)
        struct answers a = { .states = hl_alloc(count * sizeof(*a.states)),
                             .since_us = hl_alloc(count * sizeof(*a.since_us)),
                             .traffic = hl_alloc(count * sizeof(*a.traffic)) };
        int r = ask(bus, catalog, &a, err);
        if (r < 0)
                return r;

        struct hl_usage *usages = hl_alloc(count * sizeof(*usages));
        uint64_t now_us = hl_clock_realtime(), monotonic_us = hl_clock_monotonic();
        for (size_t i = 0; i < count; i++) {
                struct hl_usage *u = &usages[i];
                const struct hl_traffic *t = &a.traffic[i];
                u->active = a.states[i];
                u->in_flight = t->in_flight;
                u->reported_at_us = hl_activity_last(catalog->models[i].name);
                if (t->last_byte_age_ms != HL_AGE_NEVER)
                        u->traffic_at_us = ago(now_us, t->last_byte_age_ms * HL_USEC_PER_MSEC);
                if (a.since_us[i])
                        u->started_at_us = ago(now_us, monotonic_us - a.since_us[i]);
                judge(u, &catalog->models[i], config, now_us);
        }
        *ret_usages = usages;
        return 0;
}

uint64_t hl_usage_last_activity(const struct hl_usage *usage)
{
        return usage->reported_at_us > usage->traffic_at_us ? usage->reported_at_us : usage->traffic_at_us;
}
