/* SPDX-License-Identifier: MIT */
#include "room.h"

#include "ask.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "count.h"
#include "gone.h"
#include "readiness.h"
#include "ready_mark.h"
#include "room_look.h"
#include "stop.h"
#include "turnstile.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define PLAN_EVERY_US HL_USEC_PER_SEC
#define HURRY_US (250 * HL_USEC_PER_MSEC) /* somebody is held up, or a moment was missed */
#define LOOK_EVERY_US (50 * HL_USEC_PER_MSEC)
#define REFUSED_US (5 * HL_USEC_PER_SEC)         /* one that was found at work is left alone for so long */
#define QUEUE_UNKNOWN_US (120 * HL_USEC_PER_SEC) /* until a configuration was read */
#define STARVING 2                               /* a model is, after this part of queue_seconds */

/* One that is to leave, or is held up until it can. */
struct leaver {
        TAILQ_ENTRY(leaver) entry;
        struct hl_model model;
        int turnstile;
        uint64_t raised_us;
        struct hl_stop stop;
        char *why;
};

enum phase {
        PHASE_PLAN,
        PHASE_SETTLE, /* what NGINX let through arrives */
        PHASE_STOP,   /* they end */
};

struct hl_room {
        struct hl_bus *bus;
        struct hl_model model;
        hl_room_fn *evicts;
        void *data;
        struct hl_ticket ticket;
        int gone_fd; /* gone.h */
        uint64_t since_us, queue_us, planned_us, next_us;
        enum phase phase;
        TAILQ_HEAD(leaver_list, leaver) leavers; /* by name: so that no two that lock them wait for each other */
        char refused[HL_MODEL_NAME_MAX + 1];     /* the last one that was found at work */
        uint64_t refused_us;
        struct hl_err truth; /* why it waits */
        struct hl_ask ask;   /* of a model that may be ready, and that nobody has asked */
        struct hl_model asked;
};

/* ---- those who leave ---- */

static void let_go(struct hl_room *room, struct leaver *leaver)
{
        TAILQ_REMOVE(&room->leavers, leaver, entry);
        hl_turnstile_lower(leaver->model.name, &leaver->turnstile);
        hl_stop_free(&leaver->stop);
        hl_model_free(&leaver->model);
        free(leaver->why);
        free(leaver);
}

static void let_all_go(struct hl_room *room)
{
        while (!TAILQ_EMPTY(&room->leavers))
                let_go(room, TAILQ_FIRST(&room->leavers));
        room->phase = PHASE_PLAN;
}

static struct leaver *find_leaver(const struct hl_room *room, const char *model)
{
        struct leaver *leaver;
        TAILQ_FOREACH (leaver, &room->leavers, entry)
                if (strcmp(leaver->model.name, model) == 0)
                        return leaver;
        return NULL;
}

static struct leaver *hold_up(struct hl_room *room, const struct hl_model *model, struct hl_err *err)
{
        int turnstile;
        if (hl_turnstile_raise(model->name, &turnstile, err) < 0)
                return NULL;
        struct leaver *leaver = hl_alloc(sizeof(*leaver)), *next;
        *leaver = (struct leaver){ .model = hl_model_copy(model),
                                   .turnstile = turnstile,
                                   .raised_us = hl_clock_monotonic(),
                                   .stop = HL_STOP_INIT };
        TAILQ_FOREACH (next, &room->leavers, entry) {
                if (strcmp(next->model.name, model->name) > 0) {
                        TAILQ_INSERT_BEFORE(next, leaver, entry);
                        return leaver;
                }
        }
        TAILQ_INSERT_TAIL(&room->leavers, leaver, entry);
        return leaver;
}

static bool is_held(void *data, const char *model)
{
        const struct hl_room *room = data;
        const struct leaver *leaver = find_leaver(room, model);
        return leaver && hl_clock_monotonic() >= leaver->raised_us + HL_TURNSTILE_SETTLE_US;
}

/* The last look at all of them. Each that is held is so until the stop is queued, or until this is over. */
static bool hold_all(struct hl_room *room)
{
        struct leaver *leaver;
        TAILQ_FOREACH (leaver, &room->leavers, entry) {
                struct hl_err ignored = { 0 };
                int r = hl_stop_hold(&leaver->stop, room->bus, &leaver->model, &ignored);
                if (r > 0)
                        continue;
                if (r == 0) {
                        hl_copy(room->refused, sizeof(room->refused), leaver->model.name);
                        room->refused_us = hl_clock_monotonic() + REFUSED_US;
                }
                return false;
        }
        return true;
}

static bool begin_stop(struct hl_room *room, struct leaver *leaver)
{
        struct hl_err ignored = { 0 };
        if (hl_stop_begin(&leaver->stop, &ignored) < 0)
                return false;
        hl_count_add(HL_COUNTED_EVICTED, leaver->model.name);
        room->evicts(room->data, leaver->model.name, leaver->why);
        return true;
}

/* All of them, or none. */
static void stop_all(struct hl_room *room)
{
        bool goes_on = hold_all(room);
        room->phase = goes_on ? PHASE_STOP : PHASE_PLAN;
        room->next_us = hl_clock_monotonic() + (goes_on ? LOOK_EVERY_US : HURRY_US);
        for (struct leaver *leaver = TAILQ_FIRST(&room->leavers); leaver; leaver = TAILQ_NEXT(leaver, entry)) {
                if (goes_on && begin_stop(room, leaver))
                        continue;
                goes_on = false;
                hl_stop_free(&leaver->stop);
                leaver->stop = HL_STOP_INIT;
        }
}

/* What has ended, or could not be stopped, is no leaver any more. */
static void await_stops(struct hl_room *room)
{
        struct leaver *leaver, *next;
        for (leaver = TAILQ_FIRST(&room->leavers); leaver; leaver = next) {
                struct hl_err ignored = { 0 };
                next = TAILQ_NEXT(leaver, entry);
                if (!leaver->stop.job.slot || hl_job_poll(&leaver->stop.job, &ignored) != 0)
                        let_go(room, leaver);
        }
        room->next_us = hl_clock_monotonic() + LOOK_EVERY_US;
        if (TAILQ_EMPTY(&room->leavers)) {
                room->phase = PHASE_PLAN;
                room->next_us = 0;
        }
}

/* ---- models that nobody has asked yet whether they are ready ---- */

static void stop_asking(struct hl_room *room)
{
        hl_ask_end(&room->ask);
        hl_model_free(&room->asked);
        room->asked = (struct hl_model){ 0 };
}

/* Takes in the answer of the one that was asked, without waiting. */
static void hear(struct hl_room *room)
{
        uint64_t asked_us = 0, again_us;
        if (!room->asked.unit)
                return;
        int status = hl_ask_step(&room->ask, &asked_us, &again_us);
        if (hl_status_means_ready(status))
                hl_ready_mark(room->asked.name, asked_us);
        if (status != -EAGAIN)
                stop_asking(room);
}

static void ask_one(struct hl_room *room, const struct hl_room_look *look)
{
        for (size_t i = 0; i < look->ledger.count && !room->asked.unit; i++) {
                const struct hl_model *model = look->ledger.holders[i].model;
                if (look->ledger.holders[i].state != HL_UNIT_ACTIVE || look->facts[i].is_loaded || model->port == 0 ||
                    hl_readiness_is_strangers(model))
                        continue;
                room->asked = hl_model_copy(model);
                if (hl_ask_begin(&room->ask, room->asked.port, room->asked.health_path) < 0)
                        stop_asking(room);
                else
                        hear(room); /* sends the question */
        }
}

/* ---- the plan ---- */

static void keep_truth(struct hl_room *room, const struct hl_room_look *look, const struct hl_queued *before)
{
        struct hl_fit fit = hl_fit_of(&look->config, &look->ledger, look->model);
        HL_CLEANUP(hl_free_pointer)
        char *words = hl_fit_explain(&look->config, &look->ledger, look->model, &fit);
        const char *joint = before && *words ? "; " : "";
        HL_CLEANUP(hl_free_pointer)
        char *in_front = before ? hl_format("%s came first and waits, too", before->model) : hl_strdup("");
        room->truth = (struct hl_err){ 0 };
        hl_fail(&room->truth, HL_ERR_BUSY, EAGAIN, "no_capacity", "%s%s%s", words, joint, in_front);
}

/* Those whom the plan names are held up, and nobody else. */
static int take_up(struct hl_room *room, const struct hl_room_look *look, struct hl_err *err)
{
        struct leaver *leaver, *next;
        for (leaver = TAILQ_FIRST(&room->leavers); leaver; leaver = next) {
                bool goes = true;
                next = TAILQ_NEXT(leaver, entry);
                for (size_t i = 0; i < look->ledger.count; i++)
                        if (look->facts[i].leaves &&
                            strcmp(look->ledger.holders[i].model->name, leaver->model.name) == 0)
                                goes = false;
                if (goes)
                        let_go(room, leaver);
        }
        for (size_t i = 0; i < look->ledger.count; i++) {
                const struct hl_model *model = look->ledger.holders[i].model;
                char span[HL_SPAN_SIZE];
                if (!look->facts[i].leaves)
                        continue;
                leaver = find_leaver(room, model->name);
                if (!leaver)
                        leaver = hold_up(room, model, err);
                if (!leaver)
                        return -err->errnum;
                free(leaver->why);
                leaver->why =
                        hl_format("stopping %s, unused for %s, for %s: %s", model->name,
                                  hl_format_span(look->facts[i].idle_us, span), room->model.name, room->truth.message);
        }
        return 0;
}

static void mark_refused(const struct hl_room *room, const struct hl_room_look *look)
{
        for (size_t i = 0; i < look->ledger.count; i++)
                if (hl_clock_monotonic() < room->refused_us && look->facts[i].in_flight == 0 &&
                    strcmp(look->ledger.holders[i].model->name, room->refused) == 0)
                        look->facts[i].in_flight = 1;
}

static enum hl_plan make_plan(struct hl_room *room, const struct hl_room_look *look, const struct hl_queued *before)
{
        bool is_starving = !before && hl_clock_monotonic() - room->since_us >= room->queue_us / STARVING;
        mark_refused(room, look);
        enum hl_plan plan = hl_plan_make(&look->config, &look->ledger, look->facts, look->model, is_starving);
        if (!before || plan == HL_PLAN_NEVER)
                return plan;
        for (size_t i = 0; i < look->ledger.count; i++)
                look->facts[i].leaves = false;
        return HL_PLAN_WAIT;
}

static void settle(struct hl_room *room)
{
        const struct leaver *leaver;
        room->phase = PHASE_SETTLE;
        room->next_us = 0;
        TAILQ_FOREACH (leaver, &room->leavers, entry)
                if (leaver->raised_us + HL_TURNSTILE_SETTLE_US > room->next_us)
                        room->next_us = leaver->raised_us + HL_TURNSTILE_SETTLE_US;
}

static int carry_out(struct hl_room *room, const struct hl_room_look *look, struct hl_err *err)
{
        const struct hl_queued *before = hl_room_look_before(look);
        const struct hl_fit fit = hl_fit_of(&look->config, &look->ledger, look->model);
        enum hl_plan plan = make_plan(room, look, before);
        if (plan == HL_PLAN_START)
                return 1;
        if (plan == HL_PLAN_NEVER)
                return hl_fail_fit(&look->config, &look->ledger, look->model, &fit, err);
        keep_truth(room, look, before);
        ask_one(room, look);
        struct hl_err failed = { 0 };
        if (take_up(room, look, &failed) < 0) {
                room->truth = failed;
                let_all_go(room);
        }
        room->next_us = hl_clock_monotonic() + (TAILQ_EMPTY(&room->leavers) ? PLAN_EVERY_US : HURRY_US);
        if (plan == HL_PLAN_EVICT && !TAILQ_EMPTY(&room->leavers))
                settle(room);
        return 0;
}

/* From now on somebody waits for it. Who can have no ticket stands behind everybody. */
static void join(struct hl_room *room, struct hl_room_look *look)
{
        struct hl_err ignored = { 0 };
        if (room->gone_fd < 0)
                room->gone_fd = hl_gone_watch();
        if (room->ticket.fd >= 0 || hl_queue_join(room->model.name, room->since_us, &room->ticket, &ignored) < 0)
                return;
        free(look->queued);
        look->queued_count = hl_queue_read(&room->ticket, &look->queued);
}

/* 1: nothing is in its way. */
static int plan(struct hl_room *room, struct hl_err *err)
{
        HL_CLEANUP(hl_room_look_free) struct hl_room_look look = { 0 };
        struct hl_err failed = { 0 };
        room->planned_us = hl_clock_monotonic();
        hear(room);
        int r = hl_room_look(room->bus, room->model.name, &room->ticket, is_held, room, &look, &failed);
        if (r < 0) { /* for the moment */
                room->truth = failed;
                room->next_us = hl_clock_monotonic() + PLAN_EVERY_US;
                return 0;
        }
        room->queue_us = look.config.capacity.queue_us;
        if (!hl_room_look_matters(&look))
                return 1;
        join(room, &look);
        const struct hl_holder *own = hl_ledger_find(&look.ledger, look.model);
        if (own && own->state != HL_UNIT_STOPPING)
                return 1;
        return carry_out(room, &look, err);
}

struct hl_room *hl_room_new(struct hl_bus *bus, const struct hl_model *model, hl_room_fn *evicts, void *data)
{
        struct hl_room *room = hl_alloc(sizeof(*room));
        *room = (struct hl_room){ .bus = bus,
                                  .model = hl_model_copy(model),
                                  .evicts = evicts,
                                  .data = data,
                                  .ticket = HL_TICKET_INIT,
                                  .ask = HL_ASK_INIT,
                                  .gone_fd = -1,
                                  .since_us = hl_clock_monotonic(),
                                  .queue_us = QUEUE_UNKNOWN_US };
        TAILQ_INIT(&room->leavers);
        return room;
}

void hl_room_came(struct hl_room *room, uint64_t since_us)
{
        struct hl_ticket earlier;
        struct hl_err ignored = { 0 };
        if (since_us >= room->since_us)
                return;
        room->since_us = since_us;
        if (room->ticket.fd < 0 || hl_queue_join(room->model.name, since_us, &earlier, &ignored) < 0)
                return;
        hl_queue_leave(&room->ticket);
        room->ticket = earlier;
}

struct hl_room *hl_room_free(struct hl_room *room)
{
        if (!room)
                return NULL;
        let_all_go(room);
        stop_asking(room);
        hl_queue_leave(&room->ticket);
        hl_close_fd(&room->gone_fd);
        hl_model_free(&room->model);
        free(room);
        return NULL;
}

/* What has gone since may have left room. */
static void notice(struct hl_room *room)
{
        uint64_t soon_us = room->planned_us + LOOK_EVERY_US;
        if (hl_gone_heard(room->gone_fd, room->model.unit) && room->phase == PHASE_PLAN && soon_us < room->next_us)
                room->next_us = soon_us;
}

int hl_room_fd(const struct hl_room *room)
{
        return room->gone_fd;
}

bool hl_room_wait(const struct hl_room *room, int client_fd, uint64_t until_us)
{
        const struct timespec pause = hl_timespec_of(hl_us_minus(until_us, hl_clock_monotonic()));
        struct pollfd both[] = { { .fd = client_fd, .events = POLLRDHUP }, { .fd = room->gone_fd, .events = POLLIN } };
        return ppoll(both, HL_COUNT(both), &pause, NULL) > 0 && both[0].revents != 0;
}

int hl_room_step(struct hl_room *room, uint64_t *ret_again_us, struct hl_err *err)
{
        int r = 0;
        notice(room);
        if (hl_clock_monotonic() >= room->next_us && room->phase == PHASE_STOP)
                await_stops(room);
        if (hl_clock_monotonic() >= room->next_us && room->phase == PHASE_SETTLE)
                stop_all(room);
        if (hl_clock_monotonic() >= room->next_us && room->phase == PHASE_PLAN)
                r = plan(room, err);
        if (r != 0)
                let_all_go(room);
        *ret_again_us = room->next_us;
        return r;
}

void hl_room_refused(struct hl_room *room)
{
        room->next_us = hl_clock_monotonic() + HURRY_US;
}

uint64_t hl_room_queue_us(const struct hl_room *room)
{
        return room->queue_us;
}

bool hl_room_is_evicting(const struct hl_room *room)
{
        return room->phase != PHASE_PLAN;
}

int hl_room_fail(const struct hl_room *room, struct hl_err *err)
{
        const char *why = *room->truth.message ? room->truth.message : "systemd could not be asked";
        return hl_fail(err, HL_ERR_BUSY, EAGAIN, "no_capacity", "%s", why);
}
