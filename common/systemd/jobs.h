/* SPDX-License-Identifier: MIT */
/* jobs.h - start, stop, restart and reload units: systemd's jobs, queued, waited for, or told of when they end.
 *
 * Shape    a job is systemd's. Several clients that start the same unit share one job. A job that would change nothing
 *          ends at once.
 * Errors   -EIO/UPSTREAM: the job ended and the unit is not as asked, with systemd's result; -ETIMEDOUT/TIMEOUT: the
 *          deadline passed, the job goes on; -EINTR/CONFLICT: another job took its place; -ENOENT/UPSTREAM: the unit
 *          cannot be loaded. All: BUSY and INTERNAL as in bus.h.
 *          -ECANCELED/CANCELLED: the client has left, the job goes on.
 *          A stop or restart that is not queued in time is hung up on, and not queued later: -ETIMEDOUT/BUSY.
 * Owner    hl_job_free(); name and bus are the caller's and outlive the job.
 * Process  no logging, no globals, no threads.
 * Source   org.freedesktop.systemd1(5): Manager.StartUnit, JobRemoved.
 * Tests    tests/unit/systemd/test_jobs.c
 */
#ifndef HL_SYSTEMD_JOBS_H
#define HL_SYSTEMD_JOBS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/wait.h"
#include "bus.h"

struct hl_unit_detail;

/* HL_JOB_RUN: the start of a oneshot, which is as asked once it has ended well. */
enum hl_job_verb { HL_JOB_START, HL_JOB_STOP, HL_JOB_RESTART, HL_JOB_RELOAD, HL_JOB_RUN };

/* Queues the job, waits for its end, and checks that the unit then is as asked. */
int hl_jobs_run(struct hl_bus *bus, enum hl_job_verb verb, const char *name, const struct hl_wait *wait,
                struct hl_err *err);

/* A job whose end comes by the bus, for a program with an event loop. */
struct hl_job {
        struct hl_bus *bus;
        enum hl_job_verb verb;
        const char *name;
        void (*ended)(void *data); /* called from sd_bus_process(); may free the job; may be NULL */
        void *data;
        uint64_t answer_us; /* how long a start that has an ended() waits for systemd's answer; 0: as the bus does */

        sd_bus_slot *slot, *call;
        char *path;
        struct hl_buf early; /* ends that were told before the reply that names the job */
        int refused;         /* -errno: there is no job */
        struct hl_err refusal;
        char *result; /* systemd's word; NULL until it ended */
};

/* Queues the job. The caller fills the fields above the empty line. A start that has an ended() does not wait for
 * systemd's answer, before which systemd asks polkit: a refusal is told as an end. */
int hl_job_begin(struct hl_job *job, struct hl_err *err);

/* Waits for the job's end, and checks that the unit then is as asked: for a program without an event loop. */
int hl_job_wait(struct hl_job *job, const struct hl_wait *wait, struct hl_err *err);

/* Looks without waiting: 1, the job has ended and the unit is as asked; 0, it goes on; or -errno. */
int hl_job_poll(struct hl_job *job, struct hl_err *err);

/* Of a job that has ended: whether the unit is as asked, and, unless ret_detail is NULL, the unit as it is then. */
int hl_job_result(const struct hl_job *job, struct hl_unit_detail *ret_detail, struct hl_err *err);

/* The job itself goes on. */
void hl_job_free(struct hl_job *job);

#endif
