/* SPDX-License-Identifier: MIT */
#include "propose.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "systemd/jobs.h"
#include "systemd/units.h"
#include "texts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TIMEOUT_US (100 * HL_USEC_PER_SEC) /* longer than root's half may take, shorter than our own unit may */

/* What the other half says of itself is why; else what systemd says of it. */
static int fail_refused(struct hl_bus *bus, const struct hl_err *job_err, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *said = NULL;
        struct hl_err ignored = { 0 };
        if (job_err->kind == HL_ERR_UPSTREAM && hl_units_status_text(bus, HL_NGINX_MODELS_UNIT, &said, &ignored) == 0 &&
            *said)
                return hl_fail(err, HL_ERR_UPSTREAM, job_err->errnum, "proposal_refused", "%s", said);
        *err = *job_err;
        return -err->errnum;
}

bool hl_is_proposed(const char *path, const struct hl_buf *proposal)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf there = { 0 };
        return hl_read_file(AT_FDCWD, path, proposal->len, &there) == 0 && hl_nginx_text_is(&there, proposal);
}

int hl_propose(const char *path, const struct hl_buf *proposal, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        const struct hl_wait wait = hl_wait_until(hl_clock_monotonic() + TIMEOUT_US);
        struct hl_err job_err = { 0 };
        int r = hl_replace_file(path, proposal->data ? proposal->data : "", proposal->len, 0644, (gid_t)-1);
        if (r < 0)
                return hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r));
        r = hl_jobs_run(&bus, HL_JOB_RUN, HL_NGINX_MODELS_UNIT, &wait, &job_err);
        return r < 0 ? fail_refused(&bus, &job_err, err) : 0;
}
