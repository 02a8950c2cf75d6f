/* SPDX-License-Identifier: MIT */
/* tally.h - what the journal tells of each model since the host was started, counted.
 *
 * Shape    systemd's own words count starts and ends, whoever caused them. The lab's lines before an end say what it
 *          was for. The file tally in HL_LIMITS_FOLDER/model-monitor-service has what was counted, and how far the
 *          journal was read: each read goes on from there, and without the file all is counted anew. What the journal
 *          has dropped meanwhile stays counted.
 * Errors   as in journal.h; what is counted then is what the file says.
 * Owner    *ret_tallies: free(); item i belongs to catalog->models[i].
 * Process  several may read at once: they wait for each other, at most for as long as one reads.
 * Source   systemd.journal-fields(7): UNIT=, MESSAGE_ID=.
 * Tests    tests/system/test_metrics.py
 */
#ifndef HL_MODEL_MONITOR_SERVICE_TALLY_H
#define HL_MODEL_MONITOR_SERVICE_TALLY_H

#include "config/catalog.h"

/* What ended a run: the last that was said since its start, or right behind its end. */
enum monitor_end {
        MONITOR_END_OTHER, /* nobody of the lab: systemctl, the host, or the server by itself */
        MONITOR_END_IDLE,
        MONITOR_END_DRAINED,
        MONITOR_END_ASKED,
        MONITOR_END_EVICTED,
        MONITOR_END_FAILED,
        MONITOR_ENDS
};

extern const char *const monitor_end_names[MONITOR_ENDS];

struct monitor_tally {
        uint64_t starts, loads, loads_ms; /* loads: those that somebody waited for */
        uint64_t ends[MONITOR_ENDS];
        uint64_t ended_us;  /* CLOCK_REALTIME: of an end for which nobody has said the reason so far; 0: none */
        uint64_t is_loaded; /* 1: the load of what runs is counted, however many have waited for it */
        uint64_t next_end;  /* an enum monitor_end: of what runs */
};

int monitor_tally_read(const struct hl_catalog *catalog, struct monitor_tally **ret_tallies, struct hl_err *err);

#endif
