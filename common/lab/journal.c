#include "journal.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

static void close_journal(sd_journal **journal)
{
        if (*journal)
                sd_journal_close(*journal);
}

static int add_matches(sd_journal *journal, const char *const *matches)
{
        int r = 0;
        for (; r >= 0 && *matches; matches++)
                r = strcmp(*matches, HL_JOURNAL_OR) == 0 ? sd_journal_add_disjunction(journal)
                                                         : sd_journal_add_match(journal, *matches, 0);
        return r;
}

/* The journal's own copy is gone with the next call, and has no NUL at its end. */
static char *copy_value(sd_journal *journal, const char *field)
{
        const void *bytes;
        size_t len, prefix = strlen(field) + 1;
        if (sd_journal_get_data(journal, field, &bytes, &len) < 0 || len < prefix)
                return NULL;
        len -= prefix;
        return hl_strndup((const char *)bytes + prefix, len < HL_JOURNAL_VALUE_MAX ? len : HL_JOURNAL_VALUE_MAX);
}

static int tell(sd_journal *journal, const char *const *fields, hl_journal_fn *each, void *data)
{
        struct hl_journal_entry entry = { 0 };
        char *copies[HL_JOURNAL_FIELDS_MAX] = { 0 };
        int r = sd_journal_get_realtime_usec(journal, &entry.at_us);
        if (r < 0)
                return r;
        for (size_t i = 0; i < HL_JOURNAL_FIELDS_MAX && fields[i]; i++)
                entry.values[i] = copies[i] = copy_value(journal, fields[i]);
        each(data, &entry);
        for (size_t i = 0; i < HL_JOURNAL_FIELDS_MAX; i++)
                free(copies[i]);
        return 0;
}

int hl_journal_read(const struct hl_journal_query *query, hl_journal_fn *each, void *data, struct hl_err *err)
{
        HL_CLEANUP(close_journal) sd_journal *journal = NULL;
        int r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
                r = sd_journal_set_data_threshold(journal, HL_JOURNAL_VALUE_MAX);
        if (r >= 0)
                r = add_matches(journal, query->matches);
        if (r >= 0)
                r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous_skip(journal, query->last);
        while (r > 0) {
                r = tell(journal, query->fields, each, data);
                if (r >= 0)
                        r = sd_journal_next(journal);
        }
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "the journal: %s", strerror(-r)) : 0;
}
