/* SPDX-License-Identifier: MIT */
/* journal.h - reads what was logged: the last entries that match, oldest first; and what is logged from then on.
 *
 * Shape    matches are as on journalctl's command line: "FIELD=value", the same field again is another choice, and
 *          HL_JOURNAL_OR stands between two whole alternatives. Each entry is told with the fields that were asked for.
 * Units    at_us is CLOCK_REALTIME.
 * Errors   -errno/INTERNAL: the journal cannot be read. A user who is not in the group systemd-journal reads an empty
 *          journal, which is no error.
 * Owner    an entry's values live until the function that is told them returns.
 * Source   sd-journal(3), systemd.journal-fields(7).
 * Tests    tests/system/test_logs.py
 */
#ifndef HL_SYSTEMD_JOURNAL_H
#define HL_SYSTEMD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct hl_err;

#define HL_JOURNAL_OR "+"

/* The MESSAGE_ID of what systemd says of a unit: sd-messages.h. */
#define HL_JOURNAL_STARTING "7d4958e842da4a758f6c1cdc7b36dcc5"
#define HL_JOURNAL_STARTED "39f53479d3a045ac8e11786248231fbf"
#define HL_JOURNAL_STOPPED "9d1aaa27d60140bd96365438aad20286"
#define HL_JOURNAL_SUCCESS "7ad2d189f7e94e70a38c781354912448" /* "Deactivated successfully" */
#define HL_JOURNAL_FAILURE "d9b373ed55a64feb8242e02dbe79a49c" /* "Failed with result" */

#define HL_JOURNAL_FIELDS_MAX 8
#define HL_JOURNAL_VALUE_MAX 16384 /* bytes; longer ones are cut */

struct hl_journal_query {
        const char *const *matches; /* NULL-terminated */
        const char *const *fields;  /* at most HL_JOURNAL_FIELDS_MAX, NULL-terminated */
        const char *after;          /* NULL, or of hl_journal_cursor(): none up to that entry, if it is among these */
        uint64_t since_us;          /* and none that is older */
        uint64_t last;              /* at most so many entries */
        bool from_oldest;           /* instead of the last ones: all behind `after`, however many */
        uint64_t bytes;             /* and of these the newest whose first fields have so many bytes in all; 0: all */
        uint64_t piece;       /* hl_journal_tell() ends once it has told so many bytes of those; 0: it tells all */
        uint64_t deadline_us; /* CLOCK_MONOTONIC, after which no more are told at once; 0: none */
};

struct hl_journal_entry {
        uint64_t at_us;
        const char *values[HL_JOURNAL_FIELDS_MAX]; /* of the query's fields; NULL where the entry has none */
};

typedef void hl_journal_fn(void *data, const struct hl_journal_entry *entry);

int hl_journal_read(const struct hl_journal_query *query, hl_journal_fn *each, void *data, struct hl_err *err);

/* The same in steps, so that new entries can be followed. The fields of the query outlive the journal. */
struct hl_journal;
int hl_journal_open(const struct hl_journal_query *query, struct hl_journal **ret_journal, struct hl_err *err);
struct hl_journal *hl_journal_free(struct hl_journal *journal); /* returns NULL */

/* Tells the entries that were not told yet. 0; 1: there may be more, beyond the query's piece; or -errno. */
int hl_journal_tell(struct hl_journal *journal, hl_journal_fn *each, void *data, struct hl_err *err);

/* Waits for more. 1: there may be new entries, or other_fd (-1: none) is readable. 0: the wait is over, because
 * client_fd has hung up, or stop_fd (-1: none) is readable. -ETIMEDOUT: deadline_us, CLOCK_MONOTONIC, has passed. Or
 * -errno. */
int hl_journal_wait(struct hl_journal *journal, int client_fd, int stop_fd, int other_fd, uint64_t deadline_us);

/* Where it is: the entry that was told last, or the one behind which it begins. NULL: before the first. free() */
char *hl_journal_cursor(const struct hl_journal *journal);

/* A match for what was logged since the host was started, by the newest entry. NULL: there is none. free() */
char *hl_journal_this_boot(void);

#endif
