/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "routes.h"
#include "systemd/journal.h"

#include <stdlib.h>
#include <string.h>

#define HOURS_DEFAULT 24
#define HOURS_MAX 168                 /* a week */
#define ENTRIES_MAX 2000              /* of systemd's words about the model: the newest */
#define READ_US (2 * HL_USEC_PER_SEC) /* for all of them */
#define USEC_PER_HOUR (60 * HL_USEC_PER_MINUTE)

const struct hl_parameter monitor_history_query[] = {
        { "hours", "Of how many hours; 24 where it is not said", .expected = "a whole number from 1 to 168", .min = 1,
          .max = HOURS_MAX },
        { 0 },
};

enum { MESSAGE_ID, BOOT_ID, RESULT, FIELDS };

static const char *const fields[] = {
        [MESSAGE_ID] = "MESSAGE_ID", [BOOT_ID] = "_BOOT_ID", [RESULT] = "UNIT_RESULT", [FIELDS] = NULL
};

#define BOOT_SIZE 33

/* The run that was begun and has not been ended so far. */
struct history {
        hl_json *runs;
        bool is_open, has_any;
        uint64_t started_us;
        char boot[BOOT_SIZE];
        unsigned entries;
};

static void add_run(struct history *h, uint64_t started_us, uint64_t ended_us, const char *result)
{
        hl_json *run = hl_json_new();
        hl_json_set_time(run, "started", started_us);
        hl_json_set_time(run, "ended", ended_us);
        hl_json_set_string(run, "result", result);
        hl_json_push(h->runs, run);
        h->has_any = true;
        h->is_open = false;
}

static void keep_time(void *data, const struct hl_journal_entry *entry)
{
        *(uint64_t *)data = entry->at_us;
}

/* Nobody wrote down how it ended: its machine did, at the latest with the last word of that boot. */
static void lose_run(struct history *h)
{
        HL_CLEANUP(hl_free_pointer) char *by_boot = hl_format("_BOOT_ID=%s", h->boot);
        const char *const matches[] = { by_boot, NULL };
        const struct hl_journal_query query = { .matches = matches, .fields = fields, .last = 1 };
        struct hl_err ignored = { 0 };
        uint64_t ended_us = h->started_us;
        hl_journal_read(&query, keep_time, &ended_us, &ignored);
        add_run(h, h->started_us, ended_us, NULL);
}

static void take(void *data, const struct hl_journal_entry *entry)
{
        struct history *h = data;
        const char *id = entry->values[MESSAGE_ID], *boot = entry->values[BOOT_ID] ? entry->values[BOOT_ID] : "";
        h->entries++;
        bool begins = strcmp(id, HL_JOURNAL_STARTING) == 0 || strcmp(id, HL_JOURNAL_STARTED) == 0;
        if (h->is_open && (strcmp(id, HL_JOURNAL_STARTING) == 0 || strcmp(boot, h->boot) != 0))
                lose_run(h);
        if (begins && !h->is_open) {
                h->is_open = true;
                h->started_us = entry->at_us;
                hl_copy(h->boot, sizeof(h->boot), boot);
        } else if (!begins && (h->is_open || !h->has_any)) {
                const char *result = entry->values[RESULT];
                add_run(h, h->is_open ? h->started_us : 0, entry->at_us,
                        strcmp(id, HL_JOURNAL_FAILURE) != 0 ? "success"
                        : result                            ? result
                                                            : "failed");
        }
}

/* What the journal has no end of. */
static int end_with_now(struct hl_service *service, const struct hl_model *model, struct history *h, struct hl_err *err)
{
        struct hl_unit_detail detail;
        int r = hl_units_detail(&service->bus, model->unit, &detail, err);
        if (r < 0)
                return r;
        bool runs = detail.active != HL_UNIT_INACTIVE && detail.active != HL_UNIT_FAILED;
        if (runs && (h->is_open || !h->has_any))
                add_run(h, h->is_open ? h->started_us : detail.since_us, 0, NULL);
        else if (h->is_open)
                lose_run(h);
        return 0;
}

int monitor_run_history(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model;
        uint64_t now_us = hl_clock_realtime();
        int r = hl_service_model(ctx, &catalog, &model);
        if (r < 0)
                return r;
        struct history h = { .runs = hl_json_new_array() };
        uint64_t from_us = now_us - hl_context_number(ctx, "hours", HOURS_DEFAULT) * USEC_PER_HOUR;
        hl_json_set_string(ctx->reply, "model_name", model->name);
        hl_json_set_time(ctx->reply, "from", from_us);
        hl_json_set_time(ctx->reply, "to", now_us);
        hl_json_set(ctx->reply, "runs", h.runs);
        HL_CLEANUP(hl_free_pointer) char *by_unit = hl_format("UNIT=%s", model->unit);
        const char *const matches[] = { "_PID=1",
                                        by_unit,
                                        "MESSAGE_ID=" HL_JOURNAL_STARTING,
                                        "MESSAGE_ID=" HL_JOURNAL_STARTED,
                                        "MESSAGE_ID=" HL_JOURNAL_STOPPED,
                                        "MESSAGE_ID=" HL_JOURNAL_SUCCESS,
                                        "MESSAGE_ID=" HL_JOURNAL_FAILURE,
                                        NULL };
        const struct hl_journal_query query = { .matches = matches,
                                                .fields = fields,
                                                .since_us = from_us,
                                                .last = ENTRIES_MAX,
                                                .deadline_us = hl_clock_monotonic() + READ_US };
        r = hl_journal_read(&query, take, &h, &ctx->err);
        if (r == 0)
                r = end_with_now(ctx->service, model, &h, &ctx->err);
        if (r == 0)
                hl_json_set_bool(ctx->reply, "complete", h.entries < ENTRIES_MAX);
        return r;
}
