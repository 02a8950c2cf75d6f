/* SPDX-License-Identifier: MIT */
#include "cause.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "listening.h"
#include "owner.h"
#include "readiness.h"
#include "systemd/journal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define LINES_MAX 400                    /* that are looked at; a traceback of vLLM's has a hundred */
#define READ_US (300 * HL_USEC_PER_MSEC) /* for that */
/* Where the journal has not even systemd's words: this user may not read it, or they are still to come. */
#define UNSEEN "; what it logged is not to be seen here: \"home-lab-services logs NAME\""
#define SAYS_WHY "; \"journalctl" /* where a message points at the journal, the cause comes before that */

/* ---- what a unit logged ---- */

enum { MESSAGE, PRIORITY, PID, MESSAGE_ID, FIELDS };

static const char *const fields[] = {
        [MESSAGE] = "MESSAGE", [PRIORITY] = "PRIORITY", [PID] = "_PID", [MESSAGE_ID] = "MESSAGE_ID", [FIELDS] = NULL
};

/* systemd.journal-fields(7), sd-messages.h: "Main process exited", "Failed with result", "Deactivated successfully". */
static const char *const ends[] = {
        "98e322203f7a4ed290d09fe03c09fe15",
        "d9b373ed55a64feb8242e02dbe79a49c",
        "7ad2d189f7e94e70a38c781354912448",
};

/* "A start job has finished": also one that a Condition…= or ExecCondition= of the unit's has skipped. */
#define START_DONE "39f53479d3a045ac8e11786248231fbf"

struct reading {
        struct hl_cause_line line;
        char skipped[256]; /* what systemd said of such a start; "": there was none */
        uint64_t since_us;
        uint64_t began_us; /* the first that was logged of the start; 0: nothing was */
        uint64_t ended_us; /* when systemd told the end of the start; 0: it has not been told yet */
        bool is_seen;      /* anything at all: systemd's own words about a start are always there */
};

static bool is_end(const char *message_id)
{
        for (size_t i = 0; i < HL_COUNT(ends); i++)
                if (strcmp(message_id, ends[i]) == 0)
                        return true;
        return false;
}

/* Each systemd words a skipped start in its own way, and each of them says "Started" of one that took place. */
static bool is_of_a_start(const char *message)
{
        return hl_has_prefix(message, "Started ") || hl_has_prefix(message, "Finished ");
}

static void offer(void *data, const struct hl_journal_entry *entry)
{
        struct reading *reading = data;
        uint64_t priority = 0;
        reading->is_seen = true;
        if (reading->began_us == 0 || entry->at_us < reading->began_us)
                reading->began_us = entry->at_us;
        if (!entry->values[MESSAGE] || entry->at_us < reading->since_us)
                return;
        if (entry->values[PID] && strcmp(entry->values[PID], "1") == 0) {
                /* What systemd says of each unit that ends has an id, and is no cause. What it could not do has
                 * none. */
                if (!entry->values[MESSAGE_ID])
                        hl_cause_line_offer(&reading->line, -1, entry->values[MESSAGE]);
                else if (is_end(entry->values[MESSAGE_ID]))
                        reading->ended_us = entry->at_us;
                else if (strcmp(entry->values[MESSAGE_ID], START_DONE) == 0 && !is_of_a_start(entry->values[MESSAGE]))
                        hl_copy(reading->skipped, sizeof(reading->skipped), entry->values[MESSAGE]);
                return;
        }
        bool known = entry->values[PRIORITY] && hl_parse_uint(entry->values[PRIORITY], 7, &priority) == 0;
        hl_cause_line_offer(&reading->line, known ? (int)priority : -1, entry->values[MESSAGE]);
}

/* Of the start that the unit remembers, or else of that which began at since_us. */
static void read_line(const char *unit, const char *invocation, uint64_t since_us, struct reading *ret_reading)
{
        struct reading reading = { .since_us = *invocation ? 0 : since_us };
        struct hl_err ignored = { 0 };
        HL_CLEANUP(hl_free_pointer) char *by_unit = hl_format("_SYSTEMD_UNIT=%s", unit);
        HL_CLEANUP(hl_free_pointer) char *of_unit = hl_format("UNIT=%s", unit);
        HL_CLEANUP(hl_free_pointer) char *by_start = hl_format("_SYSTEMD_INVOCATION_ID=%s", invocation);
        HL_CLEANUP(hl_free_pointer) char *of_start = hl_format("INVOCATION_ID=%s", invocation);
        const char *const of_one_start[] = { by_unit, by_start, HL_JOURNAL_OR, "_PID=1", of_unit, of_start, NULL };
        const char *const of_unit_at_all[] = { by_unit, HL_JOURNAL_OR, "_PID=1", of_unit, NULL };
        struct hl_journal_query query = { .matches = *invocation ? of_one_start : of_unit_at_all,
                                          .fields = fields,
                                          .last = LINES_MAX,
                                          .deadline_us = hl_clock_monotonic() + READ_US };
        if (*invocation || since_us != 0)
                hl_journal_read(&query, offer, &reading, &ignored);
        /* A line that journald gets to when the unit has ended already is the unit's, and of no start. */
        if (*invocation && !*reading.line.text && reading.began_us != 0) {
                reading.since_us = reading.began_us;
                query.matches = of_unit_at_all;
                hl_journal_read(&query, offer, &reading, &ignored);
        }
        *ret_reading = reading;
}

/* ---- how it ended ---- */

static void copy(char cause[static HL_CAUSE_SIZE], const char *text)
{
        size_t len = strlen(text);
        if (len >= HL_CAUSE_SIZE)
                for (len = HL_CAUSE_SIZE - 1; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80; len--)
                        ; /* not in the middle of a character */
        memcpy(cause, text, len);
        cause[len] = '\0';
}

static void say_signal(const struct hl_unit_detail *d, char cause[static HL_CAUSE_SIZE])
{
        const char *name = sigabbrev_np(d->exit_status), *hint = "";
        if (d->exit_status == SIGKILL)
                hint = ": the kernel does that where memory is short";
        else if (d->exit_status == SIGILL)
                hint = ": it was built for another CPU";
        else if (d->exit_status == SIGSEGV || d->exit_status == SIGBUS || d->exit_status == SIGABRT)
                hint = ": it crashed";
        snprintf(cause, HL_CAUSE_SIZE, "ended by the signal %s%s", name ? name : "that is unknown", hint);
}

/* Of an end without a word of error: how it was, and the last word that there was. */
static void say_ended(const char *how, const struct reading *reading, char cause[static HL_CAUSE_SIZE])
{
        const struct hl_cause_line *last = &reading->line;
        if (!reading->is_seen)
                snprintf(cause, HL_CAUSE_SIZE, "%s" UNSEEN, how);
        else if (*last->text)
                snprintf(cause, HL_CAUSE_SIZE, "%s; the last that it logged: %.200s", how, last->text);
        else
                snprintf(cause, HL_CAUSE_SIZE, "%s, and logged nothing", how);
}

/* By systemd's result alone. */
static void say_result(const struct hl_unit_detail *d, bool is_awaited, const struct reading *reading,
                       char cause[static HL_CAUSE_SIZE])
{
        char how[64];
        if (*reading->skipped) {
                snprintf(cause, HL_CAUSE_SIZE, "a condition of its unit kept it from its start: %s", reading->skipped);
        } else if (d->exit_code == CLD_KILLED || d->exit_code == CLD_DUMPED) {
                say_signal(d, cause);
        } else if (strcmp(d->result, "timeout") == 0) {
                copy(cause, "it took longer than its unit allows (TimeoutStartSec=, TimeoutStopSec=)");
        } else if (d->exit_code == CLD_EXITED) {
                snprintf(how, sizeof(how), "ended with status %d", d->exit_status);
                say_ended(how, reading, cause);
        } else if (strcmp(d->result, "exit-code") == 0) { /* of another process than the main one */
                say_ended("what its unit runs before COMMAND failed", reading, cause);
        } else if (strcmp(d->result, "success") != 0) {
                snprintf(cause, HL_CAUSE_SIZE, "systemd's result is %s", d->result);
        } else if (is_awaited) { /* systemd has forgotten how; else somebody has stopped it */
                say_ended("ended by itself, as if it had done its work (a model stays in the foreground)", reading,
                          cause);
        }
}

/* Of a reason that lies in the unit, and not in the program, nobody knows from the program's words what to do. */
static void add_hint(char cause[static HL_CAUSE_SIZE])
{
        static const char hint[] = " (is that its unit's doing? ReadWritePaths= allows more than its home)";
        size_t len = strlen(cause);
        if (strcasestr(cause, "read-only file system") && len + sizeof(hint) <= HL_CAUSE_SIZE)
                memcpy(cause + len, hint, sizeof(hint));
}

bool hl_cause_of_end(const char *unit, const struct hl_unit_detail *d, uint64_t since_us,
                     char cause[static HL_CAUSE_SIZE])
{
        struct reading reading;
        if (!d->found) {
                snprintf(cause, HL_CAUSE_SIZE, "there is no unit %.200s", unit);
                return true;
        }
        if (strcmp(d->result, "oom-kill") == 0) {
                copy(cause, "killed by the kernel: out of memory");
                return true;
        }
        read_line(unit, d->invocation, since_us, &reading);
        /* An error is of the run before, if this start was skipped. */
        bool is_told = !*reading.skipped && hl_cause_line_is_error(&reading.line);
        if (is_told) {
                copy(cause, reading.line.text);
                add_hint(cause);
        } else {
                say_result(d, since_us != 0, &reading, cause);
        }
        /* What a program said last is in the journal a moment after systemd's word of its end. Where the journal has
         * nothing of the program's at all, it may be later still. */
        bool is_whole = *reading.line.text && reading.ended_us != 0 &&
                        hl_clock_realtime() >= reading.ended_us + HL_CAUSE_SETTLE_US;
        /* systemd forgets a start that has ended as it was told to, and nothing leads to its words any more. */
        bool is_forgotten = !*d->invocation && since_us == 0;
        return is_told || is_whole || is_forgotten || *reading.skipped || d->exit_code == CLD_KILLED;
}

/* ---- what was seen of its port ---- */

static bool say_stranger(const struct hl_model *model, char cause[static HL_CAUSE_SIZE])
{
        struct hl_owner owner;
        struct hl_err ignored = { 0 };
        if (hl_owner_find(model->port, model->unit, &owner, &ignored) < 0)
                return false;
        HL_CLEANUP(hl_free_pointer) char *who = hl_owner_describe(&owner, model);
        bool is = owner.kind == HL_OWNER_STRANGER;
        if (is)
                copy(cause, who);
        hl_owner_free(&owner);
        return is;
}

void hl_cause_of_status(const struct hl_model *model, int status, char cause[static HL_CAUSE_SIZE])
{
        struct hl_listening listening = { 0 };
        if (status == -EADDRINUSE && say_stranger(model, cause))
                return;
        if (status < 0 && status != -ETIMEDOUT)
                hl_listening_look(model, &listening);
        if (listening.where == HL_LISTENS_ELSEWHERE)
                copy(cause, listening.sentence);
        else if (status == -ECONNREFUSED)
                snprintf(cause, HL_CAUSE_SIZE, "nothing listens on port %u yet", model->port);
        else if (status == -ETIMEDOUT)
                snprintf(cause, HL_CAUSE_SIZE, "port %u takes connections, but %.100s is not answered", model->port,
                         model->health_path);
        else if (status == -EPROTO || status == -ECONNRESET || status == -EPIPE)
                snprintf(cause, HL_CAUSE_SIZE,
                         "port %u takes connections, but closes them or does not speak HTTP (nor may it have TLS of "
                         "its own)",
                         model->port);
        else if (status < 0)
                snprintf(cause, HL_CAUSE_SIZE, "port %u, %.100s: %s", model->port, model->health_path,
                         strerror(-status));
        else
                snprintf(cause, HL_CAUSE_SIZE, "port %u, %.100s: status %d%s", model->port, model->health_path, status,
                         status == 503                    ? ", it is loading"
                         : status == 404 || status == 405 ? ": is HEALTH_PATH right? Many servers have /v1/models"
                                                          : "");
}

/* ---- of a model, and of a failure ---- */

enum hl_model_state hl_cause_of_state(struct hl_bus *bus, const struct hl_model *model, enum hl_unit_state active,
                                      char cause[static HL_CAUSE_SIZE])
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        *cause = '\0';
        /* It has failed, or waits to be restarted after that (Restart=). */
        if ((active == HL_UNIT_FAILED || active == HL_UNIT_STARTING) &&
            hl_units_detail(bus, model->unit, &detail, &ignored) >= 0 &&
            (active == HL_UNIT_FAILED || strcmp(detail.result, "success") != 0))
                hl_cause_of_end(model->unit, &detail, 0, cause);
        if (active != HL_UNIT_ACTIVE || model->port == 0)
                return hl_readiness_state(model, active);
        int status = hl_readiness_ask(model);
        enum hl_model_state state = hl_readiness_meaning(model, status);
        if (state == HL_MODEL_LOADING)
                hl_cause_of_status(model, status, cause);
        return state;
}

static bool is_code(const struct hl_err *err, const char *code)
{
        return err->code && strcmp(err->code, code) == 0;
}

bool hl_cause_of_failure(struct hl_bus *bus, const struct hl_model *model, uint64_t since_us, const struct hl_err *err,
                         char cause[static HL_CAUSE_SIZE])
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        *cause = '\0';
        if (is_code(err, "port_in_use") || is_code(err, "wrong_port") || is_code(err, "model_without_port")) {
                copy(cause, err->message);
                cause[strcspn(cause, ";")] = '\0';
        } else if (is_code(err, "not_ready")) {
                enum hl_unit_state active;
                if (hl_unit_state_of(bus, model->unit, &active, &ignored) >= 0)
                        hl_cause_of_state(bus, model, active, cause);
        } else if (is_code(err, "still_working")) {
                copy(cause, "systemd has not finished its start (ExecStartPre=)");
        } else if (is_code(err, "start_failed") && hl_units_detail(bus, model->unit, &detail, &ignored) >= 0) {
                return hl_cause_of_end(model->unit, &detail, since_us, cause);
        }
        return true;
}

void hl_cause_wait_of_failure(struct hl_bus *bus, const struct hl_model *model, uint64_t since_us,
                              const struct hl_err *err, const struct hl_wait *wait, char cause[static HL_CAUSE_SIZE])
{
        for (int i = 0; !hl_cause_of_failure(bus, model, since_us, err, cause) && i < HL_CAUSE_TRIES; i++)
                if (hl_sleep_or_hangup(wait->client_fd, HL_CAUSE_LAG_US))
                        return;
}

void hl_cause_tell(struct hl_err *err, const char *cause)
{
        if (!*cause || strstr(err->message, cause) || (is_code(err, "not_ready") && strstr(cause, ": status ")))
                return;                                      /* it is said there already */
        const char *points = strstr(err->message, SAYS_WHY); /* where there is more */
        size_t len = points ? (size_t)(points - err->message) : strlen(err->message);
        struct hl_err told = { 0 };
        hl_fail(&told, err->kind, err->errnum, err->code, "%.*s: %s%s", (int)len, err->message, cause,
                points ? points : "");
        *err = told;
}
