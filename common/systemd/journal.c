/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

#define POLL_MAX_MS 60000

static int add_matches(sd_journal *journal, const char *const *matches)
{
        int r = 0;
        for (; r >= 0 && *matches; matches++)
                r = strcmp(*matches, HL_JOURNAL_OR) == 0 ? sd_journal_add_disjunction(journal)
                                                         : sd_journal_add_match(journal, *matches, 0);
        return r;
}

/* The bytes of a field's value, NULL where the entry has none. They are the journal's, gone with the next call, and
 * have no NUL at their end. */
static const char *value_of(sd_journal *journal, const char *field, size_t *ret_len)
{
        const void *bytes;
        size_t len, prefix = strlen(field) + 1;
        *ret_len = 0;
        if (sd_journal_get_data(journal, field, &bytes, &len) < 0 || len < prefix)
                return NULL;
        len -= prefix;
        *ret_len = len < HL_JOURNAL_VALUE_MAX ? len : HL_JOURNAL_VALUE_MAX;
        return (const char *)bytes + prefix;
}

static char *copy_value(sd_journal *journal, const char *field)
{
        size_t len;
        const char *bytes = value_of(journal, field, &len);
        return bytes ? hl_strndup(bytes, len) : NULL;
}

/* *told grows by the bytes of the first field. */
static int tell(sd_journal *journal, const char *const *fields, hl_journal_fn *each, void *data, uint64_t *told)
{
        struct hl_journal_entry entry = { 0 };
        char *copies[HL_JOURNAL_FIELDS_MAX] = { 0 };
        int r = sd_journal_get_realtime_usec(journal, &entry.at_us);
        if (r < 0)
                return r;
        for (size_t i = 0; i < HL_JOURNAL_FIELDS_MAX && fields[i]; i++)
                entry.values[i] = copies[i] = copy_value(journal, fields[i]);
        *told += entry.values[0] ? strlen(entry.values[0]) : 0;
        each(data, &entry);
        for (size_t i = 0; i < HL_JOURNAL_FIELDS_MAX; i++)
                free(copies[i]);
        return 0;
}

struct hl_journal {
        sd_journal *journal;
        const char *const *fields;
        uint64_t deadline_us, piece; /* of one tell */
        bool watched;
};

struct hl_journal *hl_journal_free(struct hl_journal *journal)
{
        if (journal) {
                sd_journal_close(journal->journal);
                free(journal);
        }
        return NULL;
}

static void cleanup(struct hl_journal **journal)
{
        hl_journal_free(*journal);
}

static int fail(int r, struct hl_err *err)
{
        return hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "the journal: %s", strerror(-r));
}

/* Whether nothing from here on backwards is wanted. */
static bool is_before(sd_journal *journal, const struct hl_journal_query *query)
{
        uint64_t at_us;
        if (query->after && sd_journal_test_cursor(journal, query->after) > 0)
                return true;
        return query->since_us && sd_journal_get_realtime_usec(journal, &at_us) >= 0 && at_us < query->since_us;
}

/* Before the oldest, or behind one that was told. Where that is gone, before the next one. */
static int seek_forward(sd_journal *journal, const char *after)
{
        if (!after)
                return sd_journal_seek_head(journal);
        int r = sd_journal_seek_cursor(journal, after);
        if (r >= 0)
                r = sd_journal_next(journal);
        bool is_there = r > 0 && sd_journal_test_cursor(journal, after) > 0;
        return r < 0 || is_there ? r : sd_journal_seek_cursor(journal, after);
}

/* Before the first of the last entries. Where there is none yet, the first one that comes is next. */
static int seek(sd_journal *journal, const struct hl_journal_query *query)
{
        uint64_t bytes = 0;
        size_t len = 0;
        int r = sd_journal_seek_tail(journal);
        for (uint64_t i = 0; r >= 0 && i <= query->last; i++) {
                r = sd_journal_previous(journal);
                if (r == 0)
                        return sd_journal_seek_head(journal);
                if (r > 0 && is_before(journal, query))
                        break;
                if (r > 0 && query->bytes)
                        value_of(journal, query->fields[0], &len);
                bytes += len;
                if (query->bytes && bytes > query->bytes)
                        break;
        }
        return r;
}

int hl_journal_open(const struct hl_journal_query *query, struct hl_journal **ret_journal, struct hl_err *err)
{
        HL_CLEANUP(cleanup) struct hl_journal *journal = hl_alloc(sizeof(*journal));
        *journal = (struct hl_journal){ .fields = query->fields,
                                        .deadline_us = query->deadline_us,
                                        .piece = query->piece };
        int r = sd_journal_open(&journal->journal, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
                r = sd_journal_set_data_threshold(journal->journal, HL_JOURNAL_VALUE_MAX);
        if (r >= 0)
                r = add_matches(journal->journal, query->matches);
        if (r >= 0)
                r = query->from_oldest ? seek_forward(journal->journal, query->after) : seek(journal->journal, query);
        if (r < 0)
                return fail(r, err);
        *ret_journal = hl_steal(journal);
        return 0;
}

int hl_journal_tell(struct hl_journal *journal, hl_journal_fn *each, void *data, struct hl_err *err)
{
        uint64_t told = 0;
        int r;
        while ((r = sd_journal_next(journal->journal)) > 0) {
                r = tell(journal->journal, journal->fields, each, data, &told);
                if (r < 0)
                        break;
                if (journal->piece && told >= journal->piece)
                        return 1;
                if (journal->deadline_us && hl_clock_monotonic() >= journal->deadline_us)
                        return 0;
        }
        return r < 0 ? fail(r, err) : 0;
}

int hl_journal_wait(struct hl_journal *journal, int client_fd, int stop_fd, int other_fd, uint64_t deadline_us)
{
        int fd = sd_journal_get_fd(journal->journal);
        uint64_t wake_us = UINT64_MAX, now_us = hl_clock_monotonic();
        if (fd < 0)
                return fd;
        if (!journal->watched) { /* only now: something may have come before */
                journal->watched = true;
                return 1;
        }
        int r = sd_journal_get_timeout(journal->journal, &wake_us); /* on file systems that tell nothing */
        if (r < 0)
                return r;
        if (wake_us > deadline_us)
                wake_us = deadline_us;
        struct pollfd fds[] = { { .fd = fd, .events = (short)sd_journal_get_events(journal->journal) },
                                { .fd = client_fd, .events = POLLRDHUP },
                                { .fd = stop_fd, .events = POLLIN },
                                { .fd = other_fd, .events = POLLIN } };
        uint64_t left_ms = wake_us > now_us ? (wake_us - now_us) / HL_USEC_PER_MSEC + 1 : 0;
        r = poll(fds, HL_COUNT(fds), (int)(left_ms < POLL_MAX_MS ? left_ms : POLL_MAX_MS));
        if (r < 0 && errno != EINTR)
                return -errno;
        if (r > 0 && (fds[1].revents || fds[2].revents))
                return 0;
        r = sd_journal_process(journal->journal);
        return r < 0 ? r : hl_clock_monotonic() < deadline_us ? 1 : -ETIMEDOUT;
}

char *hl_journal_cursor(const struct hl_journal *journal)
{
        char *cursor;
        return sd_journal_get_cursor(journal->journal, &cursor) < 0 ? NULL : cursor;
}

int hl_journal_read(const struct hl_journal_query *query, hl_journal_fn *each, void *data, struct hl_err *err)
{
        HL_CLEANUP(cleanup) struct hl_journal *journal = NULL;
        int r = hl_journal_open(query, &journal, err);
        while (r >= 0 && (r = hl_journal_tell(journal, each, data, err)) > 0)
                ;
        return r;
}

char *hl_journal_this_boot(void)
{
        HL_CLEANUP(cleanup) struct hl_journal *journal = hl_alloc(sizeof(*journal));
        const void *match;
        size_t len;
        *journal = (struct hl_journal){ 0 };
        if (sd_journal_open(&journal->journal, SD_JOURNAL_LOCAL_ONLY) < 0 ||
            sd_journal_seek_tail(journal->journal) < 0 || sd_journal_previous(journal->journal) <= 0 ||
            sd_journal_get_data(journal->journal, "_BOOT_ID", &match, &len) < 0)
                return NULL;
        return hl_strndup(match, len);
}
