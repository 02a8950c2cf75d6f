/* SPDX-License-Identifier: MIT */
#include "logs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "routes.h"
#include "service/follow.h"
#include "systemd/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_DEFAULT 200
#define LINES_MAX 10000
#define BYTES_MAX (4 * 1024 * 1024) /* of all messages of an answer: the newest */
#define PIECE (256 * 1024)          /* bytes that are read of a followed log before they are sent */

enum { MESSAGE, PRIORITY, FIELDS };

static const char *const fields[] = { [MESSAGE] = "MESSAGE", [PRIORITY] = "PRIORITY", [FIELDS] = NULL };

const struct hl_parameter inference_logs_query[] = {
        { "lines", "At most so many of the last lines; 200 where it is not said",
          .expected = "a whole number from 1 to 10000", .min = 1, .max = LINES_MAX },
        { "format", "JSON, or a line of text each; where it is not said the Accept header says it",
          .choices = "json,text" },
        { "follow", "Whether to go on with what is logged, for an hour", .choices = "true,false" },
        { 0 },
};

/* ?format= says it, or else the Accept header, where it wants text and no JSON. */
static bool wants_text(const struct hl_context *ctx)
{
        HL_CLEANUP(hl_free_pointer) char *word = hl_context_parameter(ctx, "format");
        const char *accept = ctx->request->accept;
        return word ? strcmp(word, "text") == 0
                    : accept && strcasestr(accept, "text/plain") && !strcasestr(accept, "application/json");
}

static hl_json *json_of(const struct hl_journal_entry *entry)
{
        uint64_t priority;
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "time", entry->at_us);
        if (entry->values[PRIORITY] && hl_parse_uint(entry->values[PRIORITY], 7, &priority) == 0)
                hl_json_set_int(json, "priority", (int64_t)priority);
        else
                hl_json_set(json, "priority", NULL);
        hl_json_set_string(json, "message", entry->values[MESSAGE] ? entry->values[MESSAGE] : "");
        return json;
}

static void push_json(void *data, const struct hl_journal_entry *entry)
{
        hl_json_push(data, json_of(entry));
}

static void add_json_line(void *data, const struct hl_journal_entry *entry)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *json = json_of(entry);
        hl_json_print(json, data); /* which ends its line */
}

/* One line each: what a model prints must not steer the terminal that it is shown on. */
static void add_text_line(void *data, const struct hl_journal_entry *entry)
{
        char at[HL_RFC3339_SIZE];
        HL_CLEANUP(hl_free_pointer) char *message = hl_strdup(entry->values[MESSAGE] ? entry->values[MESSAGE] : "");
        hl_make_printable(message);
        hl_buf_addf(data, "%s %s\n", hl_format_rfc3339(entry->at_us, at), message);
}

/* ---- a log that is followed ---- */

struct follower {
        struct hl_follow follow;
        struct hl_journal *journal;
        hl_journal_fn *add_line;
};

static void free_follower(struct hl_follow *follow)
{
        struct follower *f = (struct follower *)follow;
        hl_journal_free(f->journal);
        free(f);
}

static int tell(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us)
{
        const struct follower *f = (const struct follower *)follow;
        struct hl_err err = { 0 };
        int r;
        do {
                struct hl_buf lines = { 0 };
                r = hl_journal_tell(f->journal, f->add_line, &lines, &err);
                int sent = lines.len > 0 ? stream->write(stream->data, lines.data, lines.len) : 0;
                hl_buf_free(&lines);
                r = sent < 0 ? sent : r;
        } while (r > 0 && hl_clock_monotonic() < until_us);
        return r < 0 ? r : 0;
}

static int wait_for_more(struct hl_follow *follow, const struct hl_stream *stream, uint64_t until_us)
{
        const struct follower *f = (const struct follower *)follow;
        return hl_journal_wait(f->journal, stream->client_fd, stream->stop_fd, -1, until_us);
}

static int begin_following(struct hl_context *ctx, const struct hl_journal_query *query, hl_journal_fn *add_line)
{
        struct follower *f = hl_alloc(sizeof(*f));
        *f = (struct follower){ .follow = { HL_SCOPE_LOGS, tell, wait_for_more, free_follower }, .add_line = add_line };
        int r = hl_follow_take(ctx, &f->follow);
        if (r == 0)
                r = hl_journal_open(query, &f->journal, &ctx->err);
        if (r == 0)
                r = hl_journal_tell(f->journal, add_line, &ctx->response->body, &ctx->err);
        if (r < 0) {
                hl_follow_free(&f->follow);
                return r;
        }
        hl_follow_begin(ctx, &f->follow);
        return 0;
}

/* ---- the route ---- */

/* Lines, as text or JSON, one behind the other. */
static int send_lines(struct hl_context *ctx, const struct hl_journal_query *query, bool text, bool is_followed)
{
        hl_journal_fn *add_line = text ? add_text_line : add_json_line;
        int r = is_followed ? begin_following(ctx, query, add_line)
                            : hl_journal_read(query, add_line, &ctx->response->body, &ctx->err);
        if (r < 0)
                return r;
        ctx->response->status = 200;
        ctx->response->content_type = text ? INFERENCE_TEXT : INFERENCE_JSON_LINES;
        return 0;
}

int inference_run_logs(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) char *follow_word = hl_context_parameter(ctx, "follow");
        const struct hl_model *model;
        bool text = wants_text(ctx);
        int r = hl_service_model(ctx, &catalog, &model);
        if (r < 0)
                return r;

        HL_CLEANUP(hl_free_pointer) char *by_model = hl_format("_SYSTEMD_UNIT=%s", model->unit);
        HL_CLEANUP(hl_free_pointer) char *by_systemd = hl_format("UNIT=%s", model->unit);
        const char *const matches[] = { by_model, HL_JOURNAL_OR, by_systemd, "_PID=1", NULL };
        bool is_followed = follow_word && strcmp(follow_word, "true") == 0;
        const struct hl_journal_query query = { .matches = matches,
                                                .fields = fields,
                                                .last = hl_context_number(ctx, "lines", LINES_DEFAULT),
                                                .bytes = BYTES_MAX,
                                                .piece = is_followed ? PIECE : 0 };
        if (text || is_followed)
                return send_lines(ctx, &query, text, is_followed);
        hl_json *out = hl_json_new_array();
        hl_json_set_string(ctx->reply, "model_name", model->name);
        hl_json_set_string(ctx->reply, "unit", model->unit);
        hl_json_set(ctx->reply, "lines", out);
        return hl_journal_read(&query, push_json, out, &ctx->err);
}
