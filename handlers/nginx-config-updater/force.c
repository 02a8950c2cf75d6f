/* SPDX-License-Identifier: MIT */
#include "force.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf.h"
#include "nginx/ports.h"
#include "systemd/jobs.h"
#include "systemd/units.h"
#include "trial.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_LOOK_US (50 * HL_USEC_PER_MSEC)
#define RELOAD_TIMEOUT_US (30 * HL_USEC_PER_SEC)

/* text NULL: no file. */
static int put(const char *path, const char *text, size_t len, struct hl_err *err)
{
        int r = text ? hl_replace_file(path, text, len, 0644, (gid_t)-1) : unlink(path) < 0 ? -errno : 0;
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r)) : 0;
}

static int put_upstreams(const struct hl_buf *text, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_nginx_upstreams_path();
        HL_CLEANUP(hl_free_pointer) char *folder = hl_strndup(path, (size_t)(strrchr(path, '/') - path));
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "%s: %m", folder);
        return put(path, text->data, text->len, err);
}

static int reload(struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        const struct hl_wait wait = hl_wait_until(hl_clock_monotonic() + RELOAD_TIMEOUT_US);
        enum hl_unit_state active;
        int r;
        /* One that is starting may have read what was there before. One that will start reads what is there then. */
        while ((r = hl_unit_state_of(&bus, HL_NGINX_UNIT, &active, err)) == 0 && active == HL_UNIT_STARTING) {
                if (hl_clock_monotonic() >= wait.deadline_us)
                        return hl_fail(err, HL_ERR_TIMEOUT, ETIMEDOUT, "nginx_starting",
                                       "NGINX does not finish starting");
                hl_sleep_or_hangup(-1, START_LOOK_US);
        }
        if (r < 0 || active != HL_UNIT_ACTIVE)
                return r;
        return hl_jobs_run(&bus, HL_JOB_RELOAD, HL_NGINX_UNIT, &wait, err);
}

/* Until NGINX has taken up what is in the file, a mark stands beside it: the run after one that was killed in between
 * finds nothing new but that. */
static int publish(const struct hl_config *config, bool have_nginx, const struct hl_buf *text,
                   const struct hl_nginx_texts *in_force, struct hl_err *err)
{
        const char *path = config->nginx_output;
        HL_CLEANUP(hl_free_pointer) char *mark = hl_nginx_mark_path(config);
        int r = have_nginx ? hl_nginx_try(text, err) : 0;
        if (r == 0)
                r = put(mark, "", 0, err);
        if (r == 0)
                r = put(path, text->data, text->len, err);
        if (r < 0)
                return r;
        r = have_nginx ? reload(err) : 0;
        if (r == 0)
                return put(mark, NULL, 0, err);
        struct hl_err put_err = { 0 };
        if (put(path, in_force->locations.data, in_force->locations.len, &put_err) < 0)
                hl_log(LOG_ERR, NULL, "the old locations cannot be put back: %s", put_err.message);
        else if (!in_force->pending) /* else NGINX has not got the old ones either */
                put(mark, NULL, 0, err);
        return r;
}

int hl_nginx_force(const struct hl_config *config, const struct hl_nginx_texts *texts,
                   const struct hl_nginx_texts *in_force, struct hl_err *err)
{
        if (hl_nginx_text_is(&in_force->locations, &texts->locations) && !in_force->pending &&
            hl_nginx_upstreams_cover(&in_force->upstreams, &texts->upstreams))
                return hl_nginx_text_is(&in_force->upstreams, &texts->upstreams) ? 0
                       : put_upstreams(&texts->upstreams, err) < 0               ? -err->errnum
                                                                                 : 1;
        HL_CLEANUP(hl_buf_free) struct hl_buf both = { 0 };
        hl_buf_add(&both, texts->upstreams.data, texts->upstreams.len);
        hl_nginx_upstreams_keep(&in_force->upstreams, &both);
        bool have_nginx = hl_nginx_is_here();
        int r = put_upstreams(&both, err);
        if (r == 0)
                r = publish(config, have_nginx, &texts->locations, in_force, err);
        if (r < 0)
                return r;
        hl_log(LOG_NOTICE, NULL, "%s has the locations of %zu model%s%s", config->nginx_output, texts->models,
               texts->models == 1 ? "" : "s", have_nginx ? "" : "; there is no NGINX on this host to use them");
        return 1;
}
