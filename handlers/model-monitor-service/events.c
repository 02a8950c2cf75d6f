/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "changes.h"
#include "decisions.h"
#include "room.h"
#include "routes.h"
#include "service/follow.h"
#include "service/shutdown_json.h"
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MISSED_MAX 200                  /* decisions that are told to who comes back: the newest */
#define PIECE (64 * 1024)               /* bytes of decisions that are read before they are sent */
#define ALIVE_US (10 * HL_USEC_PER_SEC) /* without an event, until who listens is told that there is none */
#define RETRY_MS 3000                   /* after which a client that was cut off comes back */
#define NO_DECISION "0"                 /* the id before the first decision */

struct events {
        struct hl_follow follow;
        struct monitor_watch watch;
        struct monitor_changes models;
        struct monitor_room room;
        struct hl_shutdown shutdown;
        bool is_shutdown_told;
        struct hl_journal *journal;
        struct hl_buf text; /* that is not sent yet */
        uint64_t sent_us;
};

static void free_events(struct hl_follow *follow)
{
        struct events *e = (struct events *)follow;
        hl_journal_free(e->journal);
        monitor_changes_free(&e->models);
        monitor_room_free(&e->room);
        monitor_watch_close(&e->watch);
        hl_buf_free(&e->text);
        free(e);
}

/* Whoever comes back with the id gets the decisions behind it; how all else is is told anew. */
static void add(struct events *e, const char *name, hl_json *json)
{
        HL_CLEANUP(hl_free_pointer) char *id = hl_journal_cursor(e->journal);
        hl_buf_addf(&e->text, "event: %s\nid: %s\ndata: ", name, id ? id : NO_DECISION);
        hl_json_print(json, &e->text); /* which ends its line */
        hl_buf_adds(&e->text, "\n");
        hl_json_free(json);
}

static void add_model(void *data, hl_json *json)
{
        add(data, "model", json);
}

static void add_decision(void *data, const struct hl_journal_entry *entry)
{
        add(data, "decision", monitor_decision_json(entry));
}

static bool is_same(const struct hl_shutdown *a, const struct hl_shutdown *b)
{
        return a->scheduled == b->scheduled && a->at_us == b->at_us && a->ours == b->ours &&
               strcmp(a->action, b->action) == 0 && strcmp(a->message, b->message) == 0;
}

static int look_at_shutdown(struct events *e, struct hl_err *err)
{
        struct hl_shutdown now;
        int r = hl_shutdown_get(&e->watch.bus, &now, err);
        if (r < 0 || (e->is_shutdown_told && is_same(&now, &e->shutdown)))
                return r;
        e->shutdown = now;
        e->is_shutdown_told = true;
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "time", hl_clock_realtime());
        hl_json_set_bool(json, "scheduled", now.scheduled);
        hl_shutdown_json_set(json, "shutdown", &now);
        add(e, "shutdown", json);
        return 0;
}

static int look_at_room(struct events *e, struct hl_err *err)
{
        hl_json *json = NULL;
        int r = monitor_room_look(&e->room, &e->watch.bus, &json, err);
        if (r == 0 && json)
                add(e, "capacity", json);
        return r;
}

/* Adds what is new to the text. 0, 1: there is more; or -errno. */
static int collect(struct events *e, struct hl_err *err)
{
        int r = monitor_watch_take_in(&e->watch, err);
        if (r == 0 && (e->watch.models || hl_clock_monotonic() >= e->models.look_us)) {
                e->watch.models = false;
                r = monitor_changes_look(&e->models, &e->watch.bus, add_model, e, err);
        }
        if (r == 0 && e->watch.shutdown) {
                e->watch.shutdown = false;
                r = look_at_shutdown(e, err);
        }
        if (r == 0 && e->watch.room) {
                e->watch.room = false;
                r = look_at_room(e, err);
        }
        if (r == 0)
                r = hl_journal_tell(e->journal, add_decision, e, err);
        int taken = monitor_watch_take_in(&e->watch, err); /* what the calls of the bus have kept us from seeing */
        if (r < 0 || taken < 0)
                return r < 0 ? r : taken;
        return r > 0 || e->watch.models || e->watch.room || e->watch.shutdown;
}

static int tell(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us)
{
        struct events *e = (struct events *)follow;
        struct hl_err err = { 0 };
        int r, sent = 0;
        do {
                r = collect(e, &err);
                uint64_t now_us = hl_clock_monotonic();
                if (e->text.len == 0 && now_us >= e->sent_us + ALIVE_US)
                        hl_buf_adds(&e->text, ": nothing new\n\n");
                if (e->text.len > 0) {
                        sent = stream->write(stream->data, e->text.data, e->text.len);
                        e->sent_us = now_us;
                }
                hl_buf_free(&e->text);
        } while (r > 0 && sent == 0 && hl_clock_monotonic() < until_us);
        return r < 0 ? r : sent;
}

static int wait_for_more(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us)
{
        const struct events *e = (const struct events *)follow;
        bool is_sooner = e->models.look_us < until_us;
        int r = hl_journal_wait(e->journal, stream->client_fd, stream->stop_fd, e->watch.fd,
                                is_sooner ? e->models.look_us : until_us);
        return r == -ETIMEDOUT && is_sooner ? 1 : r;
}

/* All that is so now, and the decisions that who comes back has missed. */
static int begin(struct hl_context *ctx, struct events *e)
{
        const struct hl_service *service = ctx->service;
        const char *last = ctx->request->last_event_id;
        bool is_back = last && *last;
        HL_CLEANUP(hl_free_pointer) char *by_user = monitor_decision_user();
        const char *const matches[] = { MONITOR_DECISION_ID, by_user, NULL };
        const struct hl_journal_query query = { .matches = matches,
                                                .fields = monitor_decision_fields,
                                                .after = is_back ? last : NULL,
                                                .last = is_back ? MISSED_MAX : 0,
                                                .piece = PIECE };
        hl_buf_addf(&e->text, "retry: %d\n\n", RETRY_MS);
        int r = monitor_watch_open(&e->watch, &service->config, &ctx->err);
        if (r == 0)
                r = hl_journal_open(&query, &e->journal, &ctx->err);
        if (r < 0)
                return r;
        e->watch.models = e->watch.room = e->watch.shutdown = true;
        return collect(e, &ctx->err);
}

int monitor_run_events(struct hl_context *ctx)
{
        struct events *e = hl_alloc(sizeof(*e));
        *e = (struct events){ .follow = { HL_SCOPE_READ, tell, wait_for_more, free_events },
                              .watch = MONITOR_WATCH_INIT,
                              .sent_us = hl_clock_monotonic() };
        int r = hl_follow_take(ctx, &e->follow);
        if (r == 0)
                r = begin(ctx, e);
        if (r < 0) {
                hl_follow_free(&e->follow);
                return r;
        }
        hl_buf_add(&ctx->response->body, e->text.data, e->text.len);
        hl_buf_free(&e->text);
        ctx->response->status = 200;
        ctx->response->content_type = MONITOR_EVENTS_TYPE;
        hl_response_header(ctx->response, "X-Accel-Buffering", "no"); /* for another NGINX in front */
        hl_follow_begin(ctx, &e->follow);
        return 0;
}
