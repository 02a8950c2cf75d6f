/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "names.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_US (250 * HL_USEC_PER_MSEC) /* whether the client is still there */

/* mode: what comes of a job that stands in the way. Nobody's stop is called off by a reload. */
static const struct {
        const char *method, *mode, *doing, *failed;
} verbs[] = {
        [HL_JOB_START] = { "StartUnit", "replace", "starting", "start_failed" },
        [HL_JOB_STOP] = { "StopUnit", "replace", "stopping", "stop_failed" },
        [HL_JOB_RESTART] = { "RestartUnit", "replace", "restarting", "start_failed" },
        [HL_JOB_RELOAD] = { "ReloadUnit", "fail", "reloading", "reload_failed" },
        [HL_JOB_RUN] = { "StartUnit", "replace", "running", "run_failed" },
};

static void set_result(struct hl_job *job, const char *result)
{
        job->result = hl_strdup(result);
        if (job->ended)
                job->ended(job->data);
}

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *ret_error)
{
        (void)ret_error;
        struct hl_job *job = data;
        const char *path, *result;
        if (sd_bus_message_read(message, "uoss", NULL, &path, NULL, &result) < 0 || job->result)
                return 0;
        if (!job->path)
                hl_buf_addf(&job->early, "%s %s\n", path, result);
        else if (strcmp(path, job->path) == 0)
                set_result(job, result);
        return 0;
}

/* The job's path, or why there is none: r is what the call gave. */
static int read_queued(enum hl_job_verb verb, const char *name, int r, const sd_bus_error *error, sd_bus_message *reply,
                       char **ret_path, struct hl_err *err)
{
        const char *path = NULL;
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0) {
                HL_CLEANUP(hl_free_pointer) char *what = hl_format("%s %s", verbs[verb].doing, name);
                return hl_bus_fail(err, r, error, what);
        }
        *ret_path = hl_strdup(path);
        return 0;
}

static int call_verb(struct hl_bus *bus, enum hl_job_verb verb, const char *name, char **ret_path, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        int r = sd_bus_call_method(bus->bus, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER, verbs[verb].method,
                                   &error, &reply, "ss", name, verbs[verb].mode);
        return read_queued(verb, name, r, &error, reply, ret_path, err);
}

static int on_queued(sd_bus_message *reply, void *data, sd_bus_error *ret_error)
{
        (void)ret_error;
        struct hl_job *job = data;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int r = error ? -sd_bus_message_get_errno(reply) : 0;
        sd_bus_slot_unref(hl_steal(job->call));
        job->refused = read_queued(job->verb, job->name, r, error ? error : &SD_BUS_ERROR_NULL, reply, &job->path,
                                   &job->refusal);
        if (job->refused < 0) {
                set_result(job, "refused");
                return 0;
        }
        HL_CLEANUP(hl_free_pointer) char *line = hl_format("%s ", job->path);
        const char *end = job->early.data ? strstr(job->early.data, line) : NULL;
        if (end) {
                HL_CLEANUP(hl_free_pointer)
                char *result = hl_strndup(end + strlen(line), strcspn(end + strlen(line), "\n"));
                set_result(job, result);
        }
        return 0;
}

static int call_verb_later(struct hl_job *job, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *call = NULL;
        job->bus->calls++;
        int r = sd_bus_message_new_method_call(job->bus->bus, &call, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER,
                                               verbs[job->verb].method);
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", job->name, verbs[job->verb].mode);
        if (r >= 0)
                r = sd_bus_call_async(job->bus->bus, &job->call, call, on_queued, job, job->answer_us);
        return r < 0 ? hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "asking systemd") : 0;
}

int hl_job_begin(struct hl_job *job, struct hl_err *err)
{
        int r = hl_bus_open(job->bus, err);
        if (r < 0)
                return r;
        /* The match comes first, or the job may end unseen. */
        r = sd_bus_match_signal(job->bus->bus, &job->slot, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER,
                                "JobRemoved", on_job_removed, job);
        if (r < 0)
                return hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "listening to systemd");
        r = job->ended && job->verb == HL_JOB_START ? call_verb_later(job, err)
                                                    : call_verb(job->bus, job->verb, job->name, &job->path, err);
        if (r < 0)
                hl_job_free(job);
        /* A stop that systemd runs after the caller has released the model would cut new requests. Closing the
         * connection makes polkit, and so systemd, drop the call. */
        if (r == -ETIMEDOUT && job->verb != HL_JOB_START)
                hl_bus_free(job->bus);
        return r;
}

static bool is_as_asked(enum hl_job_verb verb, const struct hl_unit_detail *detail)
{
        if (verb == HL_JOB_RUN)
                return detail->active != HL_UNIT_FAILED && strcmp(detail->result, "success") == 0;
        return verb == HL_JOB_STOP || detail->active == HL_UNIT_ACTIVE || detail->active == HL_UNIT_STARTING;
}

/* The job's end says little: "done" also ends the start of a unit that failed at once. */
int hl_job_result(const struct hl_job *job, struct hl_unit_detail *ret_detail, struct hl_err *err)
{
        struct hl_unit_detail detail;
        if (job->refused < 0) {
                *err = job->refusal;
                return job->refused;
        }
        int r = hl_units_detail(job->bus, job->name, &detail, err);
        if (r < 0)
                return r;
        bool done = strcmp(job->result, "done") == 0 || strcmp(job->result, "skipped") == 0;
        if (done && is_as_asked(job->verb, &detail)) {
                if (ret_detail)
                        *ret_detail = detail;
                return 0;
        }
        const char *doing = verbs[job->verb].doing;
        if (strcmp(job->result, "canceled") == 0)
                return hl_fail(err, HL_ERR_CONFLICT, EINTR, "job_canceled", "%s %s was called off by another request",
                               doing, job->name);
        HL_CLEANUP(hl_free_pointer) char *why = hl_units_describe(&detail);
        return hl_fail(err, HL_ERR_UPSTREAM, EIO, verbs[job->verb].failed,
                       "%s %s failed: job %s, unit %s; \"journalctl -u %s\" says why", doing, job->name, job->result,
                       why, job->name);
}

void hl_job_free(struct hl_job *job)
{
        sd_bus_slot_unref(hl_steal(job->slot));
        sd_bus_slot_unref(hl_steal(job->call));
        hl_buf_free(&job->early);
        free(hl_steal(job->path));
        free(hl_steal(job->result));
}

/* Takes in what the bus has told. 1: the job has ended; 0: not yet. */
static int take_in(const struct hl_job *job, struct hl_err *err)
{
        /* A call that was hung up on took the connection along by which this end would be told. */
        if (!job->result && sd_bus_slot_get_bus(job->slot) != job->bus->bus)
                return hl_fail(err, HL_ERR_BUSY, ENOTCONN, "bus_busy", "%s %s goes on unseen", verbs[job->verb].doing,
                               job->name);
        int r = 1;
        while (!job->result && r > 0)
                r = sd_bus_process(job->bus->bus, NULL);
        return r < 0 ? hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "waiting for systemd") : job->result != NULL;
}

static int wait_for(const struct hl_job *job, const struct hl_wait *wait, struct hl_err *err)
{
        int r;
        while ((r = take_in(job, err)) == 0) {
                uint64_t now = hl_clock_monotonic();
                if (now >= wait->deadline_us)
                        return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "still_working",
                                       "%s %s takes longer than was waited for; it goes on", verbs[job->verb].doing,
                                       job->name);
                uint64_t left_us = wait->deadline_us - now;
                if (hl_sleep_or_hangup(wait->client_fd, 0))
                        return hl_fail_client_left(err, job->name);
                r = sd_bus_wait(job->bus->bus, left_us < LOOK_EVERY_US ? left_us : LOOK_EVERY_US);
                if (r < 0)
                        return hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "waiting for systemd");
        }
        return r < 0 ? r : 0;
}

int hl_job_wait(struct hl_job *job, const struct hl_wait *wait, struct hl_err *err)
{
        if (wait->on_queued)
                wait->on_queued();
        int r = wait_for(job, wait, err);
        return r < 0 ? r : hl_job_result(job, NULL, err);
}

int hl_job_poll(struct hl_job *job, struct hl_err *err)
{
        int r = take_in(job, err);
        if (r > 0 && (r = hl_job_result(job, NULL, err)) == 0)
                r = 1;
        return r;
}

int hl_jobs_run(struct hl_bus *bus, enum hl_job_verb verb, const char *name, const struct hl_wait *wait,
                struct hl_err *err)
{
        HL_CLEANUP(hl_job_free) struct hl_job job = { .bus = bus, .verb = verb, .name = name };
        int r = hl_job_begin(&job, err);
        return r < 0 ? r : hl_job_wait(&job, wait, err);
}
