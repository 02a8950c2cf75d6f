/* SPDX-License-Identifier: MIT */
#include "waits.h"

#include "answers.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client.h"
#include "models/count.h"
#include "models/last_use.h"
#include "models/stop.h"
#include "systemd/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#define NOTE_EVERY_US HL_USEC_PER_SEC
#define SAME_US (10 * HL_USEC_PER_MSEC) /* two notes of a model in such a short time say no more than one */

struct hl_router_waits {
        sd_event *event;
        sd_event_source *timer;
        uint64_t idle_us;
        struct hl_bus *bus;
        struct hl_starter *starter;
        LIST_HEAD(waiting_list, waiting) waiting;
        unsigned count;
        bool is_unnoted;                   /* a use could not be noted, and that was said */
        char noted[HL_MODEL_NAME_MAX + 1]; /* the last one that was */
        uint64_t noted_us;
};

/* A request that waits for its model. */
struct waiting {
        struct hl_router_waits *all;
        LIST_ENTRY(waiting) entry;
        struct hl_router_request *request; /* NULL once it was answered */
        sd_event_source *left;             /* NGINX closes the connection when the client has left */
        struct hl_waiter *waiter;
        uint64_t since_us;
        char model[HL_MODEL_NAME_MAX + 1];
        char client[HL_PEER_SIZE]; /* its address */
        char *unit;
        uint16_t port;
};

/* While requests wait the timer notes them, else it ends the program. */
static void rearm_timer(struct hl_router_waits *all)
{
        uint64_t span_us = all->count > 0 ? NOTE_EVERY_US : all->idle_us;
        sd_event_source_set_time(all->timer, hl_clock_monotonic() + span_us);
        sd_event_source_set_enabled(all->timer, SD_EVENT_ONESHOT);
}

static void forget(struct waiting *w)
{
        struct hl_router_waits *all = w->all;
        LIST_REMOVE(w, entry);
        sd_event_source_disable_unref(w->left);
        free(w->unit);
        free(w);
        if (--all->count == 0)
                rearm_timer(all);
}

/* The request is asked again from the start: of this router, or of its successor. */
static void hand_back(struct waiting *w)
{
        struct hl_err err = { 0 };
        struct hl_router_request *request = hl_steal(w->request);
        if (request->hand_backs >= HL_ROUTER_HAND_BACKS_MAX) {
                hl_fail(&err, HL_ERR_BUSY, EBUSY, "router_restarted", "the router was restarted too often: try again");
                hl_router_refuse_unavailable(request, w->model, &err);
                return;
        }
        uint64_t since_ms = (hl_clock_realtime() - hl_us_minus(hl_clock_monotonic(), w->since_us)) / HL_USEC_PER_MSEC;
        HL_CLEANUP(hl_free_pointer)
        char *header = hl_format("X-HL-Again: %u %" PRIu64 ".%03" PRIu64 "\r\n", request->hand_backs + 1,
                                 since_ms / 1000, since_ms % 1000);
        hl_router_redirect(request, "wake", w->model, w->port, header);
}

/* While a request waits, its model is in use, however long it loads; unless the request is one that only looks. */
static void note_use(const struct waiting *w)
{
        struct hl_router_waits *all = w->all;
        struct hl_err err = { 0 };
        uint64_t now_us = hl_clock_monotonic();
        if (!w->request->counts || (now_us < all->noted_us + SAME_US && strcmp(w->model, all->noted) == 0))
                return;
        int r = hl_last_use_record(w->model, &err);
        if (r < 0 && !all->is_unnoted) /* once, not for each request in each second */
                hl_log(LOG_WARNING, NULL, "%s", err.message);
        all->is_unnoted = r < 0;
        all->noted_us = r < 0 ? 0 : now_us;
        memcpy(all->noted, w->model, sizeof(all->noted));
}

/* Should the model be stopped for being idle in this very moment, the request waits once more. */
static void pass_on(struct waiting *w)
{
        struct hl_err err = { 0 };
        enum hl_unit_state active = HL_UNIT_ACTIVE;
        note_use(w);
        if (hl_stop_was_begun(w->model, w->unit))
                hl_unit_state_of(w->all->bus, w->unit, &active, &err);
        if (active != HL_UNIT_ACTIVE)
                hand_back(w);
        else
                hl_router_run(hl_steal(w->request), w->model, w->port);
        const struct hl_log_field fields[] = { { "HL_MODEL", w->model }, { NULL, NULL } };
        uint64_t waited_us = hl_clock_monotonic() - w->since_us;
        hl_log(LOG_INFO, fields, "%s is ready; a request waited for %llu ms", w->model,
               (unsigned long long)(waited_us / HL_USEC_PER_MSEC));
}

static void on_done(void *data, const struct hl_err *err, const char *cause)
{
        struct waiting *w = data;
        w->request->cause = cause;
        if (err->kind == HL_ERR_CONFLICT && err->errnum == ENOSPC) /* it will never fit: nobody is to try again */
                hl_router_refuse_interrupted(hl_steal(w->request), w->model, err);
        else if (err->kind)
                hl_router_refuse_unavailable(hl_steal(w->request), w->model, err);
        else
                pass_on(w);
        forget(w);
}

static int on_left(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)fd;
        (void)events;
        struct waiting *w = data;
        hl_starter_leave(w->waiter);
        hl_router_request_free(hl_steal(w->request));
        forget(w);
        return 0;
}

static bool is_waited_for(const struct hl_router_waits *all, const char *model)
{
        const struct waiting *w;
        LIST_FOREACH (w, &all->waiting, entry)
                if (strcmp(w->model, model) == 0)
                        return true;
        return false;
}

/* A router that ended has not lost it its place. */
static uint64_t since_of(const struct hl_router_request *request)
{
        return request->waits_us > 0 ? hl_clock_monotonic_of(request->waits_us) : hl_clock_monotonic();
}

void hl_router_wait(struct hl_router_waits *all, struct hl_router_request *request, const struct hl_model *model)
{
        if (!is_waited_for(all, model->name) && hl_unit_start_hint(model->unit) == 0) {
                const struct hl_log_field fields[] = { { "HL_MODEL", model->name }, { NULL, NULL } };
                hl_log(LOG_NOTICE, fields, "starting %s for a request from %s", model->name, request->http.peer.name);
        }
        struct waiting *w = hl_alloc(sizeof(*w));
        *w = (struct waiting){
                .all = all,
                .request = request,
                .since_us = since_of(request),
                .unit = hl_strdup(model->unit),
                .port = model->port,
        };
        memcpy(w->model, model->name, sizeof(w->model));
        hl_copy(w->client, sizeof(w->client), request->http.peer.name);
        LIST_INSERT_HEAD(&all->waiting, w, entry);
        all->count++;
        if (sd_event_add_io(all->event, &w->left, hl_fastcgi_fd(request->fcgi), EPOLLRDHUP, on_left, w) < 0)
                w->left = NULL; /* then it is found out when it is answered */
        if (request->hand_backs == 0)
                hl_count_add(HL_COUNTED_HELD, w->model);
        w->waiter = hl_starter_wait(all->starter, model, w->since_us, on_done, w);
        note_use(w);
        if (all->count == 1)
                rearm_timer(all);
}

/* ---- all of them ---- */

static int on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)now_us;
        struct hl_router_waits *all = data;
        if (all->count == 0)
                return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS);
        const struct waiting *w;
        LIST_FOREACH (w, &all->waiting, entry)
                note_use(w);
        rearm_timer(all);
        return 0;
}

int hl_router_waits_new(sd_event *event, struct hl_bus *bus, uint64_t idle_us, struct hl_router_waits **ret_waits)
{
        struct hl_router_waits *all = hl_alloc(sizeof(*all));
        *all = (struct hl_router_waits){ .event = event, .bus = bus, .idle_us = idle_us };
        int r = sd_event_add_time(event, &all->timer, CLOCK_MONOTONIC, hl_clock_monotonic() + idle_us, 0, on_timer,
                                  all);
        if (r < 0) {
                free(all);
                return r;
        }
        all->starter = hl_starter_new(event, bus, HL_STARTER_GRACE_US);
        *ret_waits = all;
        return 0;
}

void hl_router_waits_free(struct hl_router_waits *all)
{
        hl_starter_free(all->starter);
        while (!LIST_EMPTY(&all->waiting)) { /* for the successor, which systemd's socket starts */
                struct waiting *w = LIST_FIRST(&all->waiting);
                hand_back(w);
                forget(w);
        }
        sd_event_source_unref(all->timer);
        free(all);
}

bool hl_router_waits_is_starting(const struct hl_router_waits *all, const struct hl_model *model)
{
        return hl_starter_is_starting(all->starter, model);
}

/* Who is on this host may have as many as there are: a program here asks for many others, and is known. */
static bool has_too_many(const struct hl_router_waits *all, const struct hl_peer *peer)
{
        unsigned count = 0;
        const struct waiting *w;
        if (peer->local)
                return false;
        LIST_FOREACH (w, &all->waiting, entry)
                count += hl_router_client_same(w->client, peer->name);
        return count >= HL_ROUTER_WAITING_PER_CLIENT_MAX;
}

int hl_router_waits_check(const struct hl_router_waits *all, const struct hl_peer *peer, struct hl_err *err)
{
        if (all->count >= HL_ROUTER_WAITING_MAX)
                return hl_fail(err, HL_ERR_BUSY, EBUSY, "too_many_waiting",
                               "more than %d requests wait for models already", HL_ROUTER_WAITING_MAX);
        if (has_too_many(all, peer))
                return hl_fail(err, HL_ERR_BUSY, EBUSY, "too_many_waiting",
                               "more than %d requests from %s wait for models already",
                               HL_ROUTER_WAITING_PER_CLIENT_MAX, peer->name);
        return 0;
}

void hl_router_waits_asked(struct hl_router_waits *all)
{
        if (all->count == 0) /* else the timer notes those who wait, however many come */
                rearm_timer(all);
}
