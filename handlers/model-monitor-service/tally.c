/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "decisions.h"
#include "models/evicted.h"
#include "models/load_time.h"
#include "models/stop.h"
#include "service/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define FOLDER HL_LIMITS_FOLDER "/model-monitor-service"
#define FILE_SIZE_MAX (8 * 1024 * 1024) /* bytes: a line for each model of the largest catalogue */
#define READ_US (2 * HL_USEC_PER_SEC)   /* for one read; the next one goes on */
#define LATE_US (3 * HL_USEC_PER_SEC)   /* from an end until its reason is said, at most: it may end so soon */

const char *const monitor_end_names[] = {
        [MONITOR_END_OTHER] = "other",       [MONITOR_END_IDLE] = "idle",       [MONITOR_END_DRAINED] = HL_STOP_DRAINED,
        [MONITOR_END_ASKED] = HL_STOP_ASKED, [MONITOR_END_EVICTED] = "evicted", [MONITOR_END_FAILED] = "failed",
};

enum { MESSAGE_ID, UNIT, MODEL, DECISION, REASON, LOAD_MS, FIELDS };

static const char *const fields[] = {
        [MESSAGE_ID] = "MESSAGE_ID", [UNIT] = "UNIT",          [MODEL] = "HL_MODEL", [DECISION] = "HL_DECISION",
        [REASON] = "HL_REASON",      [LOAD_MS] = "HL_LOAD_MS", [FIELDS] = NULL
};

struct reading {
        const struct hl_catalog *catalog;
        struct monitor_tally *tallies;
        char *cursor; /* NULL: nothing was read yet */
};

/* ---- the file: where the journal was read to, and a line of numbers for each model ---- */

#define NUMBERS (sizeof(struct monitor_tally) / sizeof(uint64_t))

static int by_name(const void *name, const void *model)
{
        return strcmp(name, ((const struct hl_model *)model)->name);
}

static struct monitor_tally *find(const struct reading *r, const char *name)
{
        const struct hl_model *models = r->catalog->models,
                              *found = name ? bsearch(name, models, r->catalog->count, sizeof(*models), by_name) : NULL;
        return found ? &r->tallies[found - models] : NULL;
}

static int parse_numbers(char *text, uint64_t *ret_numbers)
{
        size_t count = 0;
        for (const char *word; count < NUMBERS && (word = strsep(&text, " ")); count++)
                if (hl_parse_uint(word, INT64_MAX, &ret_numbers[count]) < 0)
                        return -EINVAL;
        return count == NUMBERS && !text ? 0 : -EINVAL;
}

/* All is to be counted anew. */
static void forget(struct reading *r)
{
        free(hl_steal(r->cursor));
        memset(r->tallies, 0, r->catalog->count * sizeof(*r->tallies));
}

/* A file that is not as this version writes it is none. */
static void load(struct reading *r, const char *path)
{
        struct hl_buf text = { 0 };
        int result = hl_read_file(AT_FDCWD, path, FILE_SIZE_MAX, &text);
        char *rest = text.data, *line = result == 0 ? strsep(&rest, "\n") : NULL;
        r->cursor = line && *line ? hl_strdup(line) : NULL;
        while (r->cursor && (line = strsep(&rest, "\n")) && *line) {
                uint64_t numbers[NUMBERS];
                const char *name = strsep(&line, " ");
                struct monitor_tally *tally = find(r, name);
                if (!line || parse_numbers(line, numbers) < 0 || numbers[NUMBERS - 1] >= MONITOR_ENDS)
                        forget(r);
                else if (tally)
                        memcpy(tally, numbers, sizeof(*tally));
        }
        hl_buf_free(&text);
}

static void save(const struct reading *r, const char *path)
{
        struct hl_buf text = { 0 };
        hl_buf_addf(&text, "%s\n", r->cursor);
        for (size_t i = 0; i < r->catalog->count; i++) {
                uint64_t numbers[NUMBERS];
                memcpy(numbers, &r->tallies[i], sizeof(numbers));
                hl_buf_adds(&text, r->catalog->models[i].name);
                for (size_t k = 0; k < NUMBERS; k++)
                        hl_buf_addf(&text, " %" PRIu64, numbers[k]);
                hl_buf_adds(&text, "\n");
        }
        hl_replace_file(path, text.data, text.len, 0600, (gid_t)-1);
        hl_buf_free(&text);
}

/* ---- the journal ---- */

/* For an end nobody has said a reason. */
static void settle(struct monitor_tally *tally)
{
        tally->ends[MONITOR_END_OTHER] += tally->ended_us > 0;
        tally->ended_us = 0;
}

/* What of the lab's own is about to end it. */
static uint64_t end_of(const struct hl_journal_entry *entry, uint64_t before)
{
        const char *id = entry->values[MESSAGE_ID], *decision = entry->values[DECISION],
                   *reason = entry->values[REASON];
        if (strcmp(id, HL_EVICTION_MESSAGE_ID) == 0)
                return MONITOR_END_EVICTED;
        if (strcmp(id, HL_STOP_MESSAGE_ID) == 0)
                return reason && strcmp(reason, HL_STOP_DRAINED) == 0 ? MONITOR_END_DRAINED : MONITOR_END_ASKED;
        return decision && strcmp(decision, "stop") == 0 ? MONITOR_END_IDLE : before;
}

static void take_own(struct monitor_tally *tally, const struct hl_journal_entry *entry)
{
        uint64_t ms;
        if (strcmp(entry->values[MESSAGE_ID], HL_LOADED_MESSAGE_ID) != 0) {
                tally->next_end = end_of(entry, tally->next_end);
                if (tally->ended_us > 0 && tally->next_end != MONITOR_END_OTHER) {
                        tally->ends[tally->next_end]++;
                        tally->ended_us = 0;
                        tally->next_end = MONITOR_END_OTHER;
                }
        } else if (!tally->is_loaded && entry->values[LOAD_MS] &&
                   hl_parse_uint(entry->values[LOAD_MS], INT32_MAX, &ms) == 0) {
                tally->is_loaded = 1;
                tally->loads++;
                tally->loads_ms += ms;
        }
}

static void take_systemds(struct monitor_tally *tally, const struct hl_journal_entry *entry)
{
        const char *id = entry->values[MESSAGE_ID];
        settle(tally);
        if (strcmp(id, HL_JOURNAL_STARTED) == 0) {
                tally->starts++;
                tally->is_loaded = 0;
        } else if (strcmp(id, HL_JOURNAL_FAILURE) == 0) {
                tally->ends[MONITOR_END_FAILED]++;
        } else if (tally->next_end != MONITOR_END_OTHER) {
                tally->ends[tally->next_end]++;
        } else {
                tally->ended_us = entry->at_us;
        }
        tally->next_end = MONITOR_END_OTHER;
}

static void take(void *data, const struct hl_journal_entry *entry)
{
        const struct reading *r = data;
        struct monitor_tally *tally = find(r, entry->values[MODEL]);
        if (tally)
                take_own(tally, entry);
        for (size_t i = 0; !tally && entry->values[UNIT] && i < r->catalog->count; i++)
                if (strcmp(r->catalog->models[i].unit, entry->values[UNIT]) == 0)
                        take_systemds(&r->tallies[i], entry);
}

/* What is asked of the journal: what systemd says of the models' units, and what the lab says of models. */
struct question {
        struct hl_buf units; /* a match each, with its NUL */
        char *by_user, *by_boot;
        const char **matches;
};

static void ask(const struct reading *r, struct question *q)
{
        size_t count = r->catalog->count, n = 0;
        q->by_user = monitor_decision_user();
        q->by_boot = r->cursor ? NULL : hl_journal_this_boot(); /* behind the cursor there is no other */
        const char *const fixed[] = { "_PID=1",
                                      q->by_boot ? q->by_boot : "_PID=1",
                                      "MESSAGE_ID=" HL_JOURNAL_STARTED,
                                      "MESSAGE_ID=" HL_JOURNAL_SUCCESS,
                                      "MESSAGE_ID=" HL_JOURNAL_FAILURE,
                                      HL_JOURNAL_OR,
                                      q->by_user,
                                      q->by_boot ? q->by_boot : q->by_user,
                                      MONITOR_DECISION_ID,
                                      "MESSAGE_ID=" HL_EVICTION_MESSAGE_ID,
                                      "MESSAGE_ID=" HL_STOP_MESSAGE_ID,
                                      "MESSAGE_ID=" HL_LOADED_MESSAGE_ID };
        q->matches = hl_alloc((count + HL_COUNT(fixed) + 1) * sizeof(*q->matches));
        for (size_t i = 0; i < count; i++) {
                hl_buf_addf(&q->units, "UNIT=%s", r->catalog->models[i].unit);
                hl_buf_add(&q->units, "", 1);
        }
        for (const char *unit = q->units.data; n < count; unit += strlen(unit) + 1)
                q->matches[n++] = unit;
        for (size_t i = 0; i < HL_COUNT(fixed); i++)
                q->matches[n++] = fixed[i];
}

static void free_question(struct question *q)
{
        hl_buf_free(&q->units);
        free(q->by_user);
        free(q->by_boot);
        free(q->matches);
}

static int go_on(struct reading *r, struct hl_err *err)
{
        HL_CLEANUP(free_question) struct question q = { 0 };
        struct hl_journal *journal = NULL;
        ask(r, &q);
        const struct hl_journal_query query = { .matches = q.matches,
                                                .fields = fields,
                                                .after = r->cursor,
                                                .from_oldest = true,
                                                .deadline_us = hl_clock_monotonic() + READ_US };
        int result = hl_journal_open(&query, &journal, err);
        if (result == 0)
                result = hl_journal_tell(journal, take, r, err);
        char *cursor = result < 0 ? NULL : hl_journal_cursor(journal);
        if (cursor) {
                free(r->cursor);
                r->cursor = cursor;
        }
        hl_journal_free(journal);
        return result;
}

/* Whether there was one. */
static bool settle_late(struct reading *r)
{
        uint64_t now_us = hl_clock_realtime();
        bool is_any = false;
        for (size_t i = 0; i < r->catalog->count; i++)
                if (r->tallies[i].ended_us > 0 && hl_us_minus(now_us, r->tallies[i].ended_us) > LATE_US) {
                        settle(&r->tallies[i]);
                        is_any = true;
                }
        return is_any;
}

int monitor_tally_read(const struct hl_catalog *catalog, struct monitor_tally **ret_tallies, struct hl_err *err)
{
        struct reading r = { catalog, hl_alloc(catalog->count * sizeof(*r.tallies)), NULL };
        if (catalog->count == 0) { /* of no model's unit systemd would be taken to speak of any */
                *ret_tallies = r.tallies;
                return 0;
        }
        HL_CLEANUP(hl_close_fd) int lock = open(FOLDER "/tally.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        while (lock >= 0 && flock(lock, LOCK_EX) < 0 && errno == EINTR)
                ;
        load(&r, FOLDER "/tally");
        HL_CLEANUP(hl_free_pointer) char *before = hl_strdup(r.cursor);
        int result = go_on(&r, err);
        if (result < 0 && before) { /* the journal may not know the place */
                forget(&r);
                *err = (struct hl_err){ 0 };
                result = go_on(&r, err);
        }
        bool is_new = settle_late(&r) || (r.cursor && (!before || strcmp(before, r.cursor) != 0));
        if (result == 0 && lock >= 0 && r.cursor && is_new)
                save(&r, FOLDER "/tally");
        free(r.cursor);
        *ret_tallies = r.tallies;
        return result;
}
