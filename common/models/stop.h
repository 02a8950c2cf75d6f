/* SPDX-License-Identifier: MIT */
/* stop.h - how a model is stopped so that no request is lost: the lock, the last look, systemd's job, and when it was.
 *
 * Shape    whoever hands a request on notes the use first (last_use.h) and looks at the model's unit afterwards. The
 *          lock keeps such a note waiting from the last look until the stop is queued. So either the stop sees the use,
 *          or the other one sees the stop.
 *          From before the last look until the job has ended, or this process has, the model's turnstile is up: what
 *          comes by NGINX waits (turnstile.h).
 *          A request that NGINX let through before, and that comes to the model behind the last look all the same, is
 *          cut by the stop, and nothing was done for it: it may be sent once more. Whether it was so is a question of
 *          times, whenever it is asked.
 *          The stop's begin and end are the two times of the file /run/home-lab-services/stopped/NAME
 *          (HL_STOPPED_DIRECTORY in the environment names another folder). A stop whose process has died has no end
 *          there: then systemd says what became of the model.
 * Units    the file's times are CLOCK_MONOTONIC: no change of the clock moves them, and the folder
 *          is gone at boot as that clock is. sent_us and failed_us are CLOCK_REALTIME, as NGINX tells them; 0: not
 *          known.
 * Errors   as in usage.h, last_use.h, sockets.h and jobs.h. -errno/INTERNAL: a begin that cannot be noted; then nothing
 *          is stopped.
 * Owner    hl_stop_free(), before bus and model go; a begun stop stays in its place until then: systemd's answers point
 *          to it.
 * Tests    tests/unit/models/test_stop.c, tests/system/test_stop.py
 */
#ifndef HL_MODELS_STOP_H
#define HL_MODELS_STOP_H

#include "systemd/jobs.h"
#include "verdict.h"

/* In the journal, of each stop that somebody asks for: journalctl MESSAGE_ID=…, with HL_MODEL and, in HL_REASON, one of
 * these words. What else stops models says so by its own: HL_SWEEP_MESSAGE_ID, HL_EVICTION_MESSAGE_ID. */
#define HL_STOP_MESSAGE_ID "fbdd2da5a07144f18fad5485c739f913"
#define HL_STOP_ASKED "asked"
#define HL_STOP_DRAINED "drained" /* its requests could end first */

struct hl_stop {
        struct hl_job job; /* to be waited for, once the stop is begun: jobs.h */

        const struct hl_model *model;
        int lock_fd, times_fd; /* -1: the model is not held, and the stop is not noted */
        int turnstile_fd;      /* -1: it is not up */
        bool is_quiet;         /* nothing was in flight at the last look */
        uint64_t begin_us;
};

#define HL_STOP_INIT ((struct hl_stop){ .lock_fd = -1, .times_fd = -1, .turnstile_fd = -1 })

/* Looks once more and, if the model is idle still, begins its stop in the same moment. *ret_verdict is what that look
 * gave. 1: the stop was begun; 0: the model is not idle. */
int hl_stop_if_idle(struct hl_stop *stop, struct hl_bus *bus, const struct hl_config *config, struct hl_model *model,
                    struct hl_verdict *ret_verdict, struct hl_err *err);

/* Waits until the model has no request in flight, and holds it then for hl_stop_begin(). That requests are left when
 * the wait is over is no error: *ret_left says how many, and the model is not held. -ECANCELED/CANCELLED: the client
 * has left, and nothing is stopped. */
int hl_stop_drain(struct hl_stop *stop, struct hl_bus *bus, const struct hl_model *model, const struct hl_wait *wait,
                  unsigned *ret_left, struct hl_err *err);

/* Holds a model that has no request in flight for hl_stop_begin(), however shortly ago it was used. The caller has had
 * its turnstile up for HL_TURNSTILE_SETTLE_US (turnstile.h), so nothing that NGINX let through is on its way. 1: it is
 * held; 0: it has a request. */
int hl_stop_hold(struct hl_stop *stop, struct hl_bus *bus, const struct hl_model *model, struct hl_err *err);

/* Queues the job, and lets go of the model. */
int hl_stop_begin(struct hl_stop *stop, struct hl_err *err);

/* The job goes on. */
void hl_stop_free(struct hl_stop *stop);

/* Whether a stop for which nothing was in flight cut a request that NGINX sent to the model at sent_us, and whose
 * connection it lost at failed_us. */
bool hl_stop_has_cut(struct hl_bus *bus, const struct hl_model *model, uint64_t sent_us, uint64_t failed_us);

/* Whether such a stop was begun since the unit was started, so that its state must be asked for. */
bool hl_stop_was_begun(const char *model, const char *unit);

/* The same of any time on CLOCK_MONOTONIC. */
bool hl_stop_was_begun_since(const char *model, uint64_t since_us);

#endif
