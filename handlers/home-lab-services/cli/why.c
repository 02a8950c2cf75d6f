/* SPDX-License-Identifier: MIT */
/* why: what a model does and why, as one would answer a person. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli.h"

#include <errno.h>
#include <string.h>

#define STOP_MAX_US (5 * HL_USEC_PER_MINUTE) /* from the decision to stop a model until its unit has ended */
#define STOP_EARLY_US HL_USEC_PER_SEC        /* both times are whole seconds */

/* What both services say of it. */
struct facts {
        const char *name;
        const hl_json *model; /* GET /models/NAME of the inference service */
        const hl_json *why;   /* GET /models/NAME/why of the monitor */
        const char *ended;    /* of a stopped model: since when; NULL: there is no trace of it */
};

static bool is(const hl_json *json, const char *key, const char *value)
{
        const char *text = hl_json_get_string(json, key);
        return text && strcmp(text, value) == 0;
}

static const char *or_else(const char *text, const char *otherwise)
{
        return text && *text ? text : otherwise;
}

/* ", since 20:01": nothing where that is not known. */
static void add_since(struct hl_buf *out, const struct facts *f)
{
        char when[CLI_WHEN_SIZE];
        const char *since = hl_json_get_string(f->model, "since");
        if (since)
                hl_buf_addf(out, " since %s", cli_when(since, when));
}

static void add_cause(struct hl_buf *out, const struct facts *f)
{
        const char *cause = hl_json_get_string(f->model, "cause");
        if (cause)
                hl_buf_addf(out, " Its cause: %s.", cause);
}

/* The sweep's stop that ended it, or NULL: whatever ended it since then was not the sweep. */
static const hl_json *stop_by_sweep(const struct facts *f)
{
        const hl_json *decisions = hl_json_get_array(f->why, "decisions");
        uint64_t ended_us, at_us;
        if (!f->ended || hl_parse_rfc3339(f->ended, &ended_us) < 0)
                return NULL;
        for (size_t i = 0; decisions && i < hl_json_length(decisions); i++) {
                const hl_json *decision = hl_json_object_at(decisions, i);
                const char *time = hl_json_get_string(decision, "time");
                if (is(decision, "decision", "stop") && time && hl_parse_rfc3339(time, &at_us) == 0 &&
                    at_us <= ended_us + STOP_EARLY_US && ended_us <= at_us + STOP_MAX_US)
                        return decision;
        }
        return NULL;
}

/* Of one that has no room beside those that run. */
static void add_room(struct hl_buf *out, const struct facts *f)
{
        const hl_json *start = hl_json_get_object(f->why, "start");
        const char *explanation = hl_json_get_string(start, "explanation");
        if (explanation && !is(start, "fits", "now"))
                hl_buf_addf(out, " It does not fit beside what runs: %s.", explanation);
}

static void tell_stopped(struct hl_buf *out, const struct facts *f)
{
        char when[CLI_WHEN_SIZE], idle[CLI_SPAN_SIZE], limit[CLI_SPAN_SIZE];
        const hl_json *stop = stop_by_sweep(f);
        cli_when(f->ended, when);
        if (stop)
                hl_buf_addf(out, "%s is stopped: it was idle for %s (IDLE_TIMEOUT %s), stopped at %s.", f->name,
                            cli_span(hl_json_get_int(stop, "idle_seconds", -1), idle),
                            cli_span(hl_json_get_int(stop, "threshold_seconds", -1), limit), when);
        else if (f->ended)
                hl_buf_addf(
                        out,
                        "%s is stopped since %s, and not for being idle: somebody stopped it, or it ended by itself.",
                        f->name, when);
        else
                hl_buf_addf(out, "%s is stopped: the journal knows of no start of it.", f->name);
        add_cause(out, f);
        add_room(out, f);
        hl_buf_addf(out, " A request through NGINX or \"home-lab-services start %s\" starts it.", f->name);
}

static void tell_failed(struct hl_buf *out, const struct facts *f)
{
        char when[CLI_WHEN_SIZE];
        int64_t status = hl_json_get_int(f->model, "last_exit_status", -1);
        hl_buf_addf(out, "%s has failed at %s: %s", f->name, cli_when(hl_json_get_string(f->model, "since"), when),
                    or_else(hl_json_get_string(f->model, "last_result"), "for an unknown reason"));
        if (status >= 0)
                hl_buf_addf(out, ", status %lld", (long long)status);
        hl_buf_adds(out, ".");
        add_cause(out, f);
        hl_buf_addf(out, " \"home-lab-services logs %s\" shows what it said; the next start tries again.", f->name);
}

static void tell_loading(struct hl_buf *out, const struct facts *f)
{
        hl_buf_addf(out, "%s is loading", f->name);
        add_since(out, f);
        hl_buf_adds(out, ": its process runs, and does not answer yet that it is ready.");
        add_cause(out, f);
        hl_buf_addf(out, " \"home-lab-services logs -f %s\" shows how far it is.", f->name);
}

static void add_in_flight(struct hl_buf *out, int64_t in_flight)
{
        hl_buf_addf(out, ", and works on %lld request%s. It is not stopped while it does.", (long long)in_flight,
                    in_flight == 1 ? "" : "s");
}

/* When it will be stopped, by the monitor's reason. */
static void add_end(struct hl_buf *out, const struct facts *f)
{
        char when[CLI_WHEN_SIZE], idle[CLI_SPAN_SIZE], limit[CLI_SPAN_SIZE];
        const char *stops_at = hl_json_get_string(f->why, "stops_at");
        int64_t idle_s = hl_json_get_int(f->why, "idle_seconds", -1);
        cli_span(idle_s, idle);
        cli_span(hl_json_get_int(f->why, "threshold_seconds", -1), limit);
        if (is(f->why, "reason", "pinned"))
                hl_buf_adds(out, ". It stays until somebody stops it: IDLE_TIMEOUT is never.");
        else if (is(f->why, "reason", "no_port"))
                hl_buf_adds(out,
                            ". It stays until somebody stops it: without PORT nobody can tell whether it is in use.");
        else if (is(f->why, "reason", "idle"))
                hl_buf_addf(out, ", and idle: unused for %s, longer than %s (IDLE_TIMEOUT). The next sweep stops it.",
                            idle, limit);
        else if (is(f->why, "reason", "recently_used") && stops_at)
                hl_buf_addf(out, ", unused for %s. Unless it is used it is stopped at %s, after %s (IDLE_TIMEOUT).",
                            idle, cli_when(stops_at, when), limit);
        else
                hl_buf_addf(out, ". It %s.", or_else(hl_json_get_string(f->why, "explanation"), "runs"));
}

static void tell_running(struct hl_buf *out, const struct facts *f)
{
        int64_t in_flight = hl_json_get_int(f->model, "in_flight", 0);
        hl_buf_addf(out, "%s is loaded and runs", f->name);
        add_since(out, f);
        if (in_flight > 0)
                add_in_flight(out, in_flight);
        else
                add_end(out, f);
        add_cause(out, f);
}

static void tell(struct hl_buf *out, const struct facts *f)
{
        if (is(f->why, "reason", "stopping"))
                hl_buf_addf(out, "%s is stopping.", f->name);
        else if (is(f->model, "state", "failed"))
                tell_failed(out, f);
        else if (is(f->model, "state", "loading"))
                tell_loading(out, f);
        else if (is(f->model, "state", "loaded"))
                tell_running(out, f);
        else
                tell_stopped(out, f);
        const char *paused_until = hl_json_get_string(f->why, "paused_until");
        char when[CLI_WHEN_SIZE];
        if (paused_until)
                hl_buf_addf(out, " It is paused: its requests are held until %s.", cli_when(paused_until, when));
        hl_buf_adds(out, "\n");
}

/* systemd forgets a unit that is stopped, and with it since when: the journal's last line about it is from its end. */
static char *end_of(struct cli_api *api, const char *name, const hl_json *model)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *log = NULL;
        struct hl_err ignored = { 0 };
        const char *since = hl_json_get_string(model, "since");
        if (since)
                return hl_strdup(since);
        cli_api_get(api, CLI_INFERENCE, cli_model_path(name, "/logs?lines=1&format=json", &ignored), &log, &ignored);
        const hl_json *lines = hl_json_get_array(log, "lines");
        return hl_strdup(lines ? hl_json_get_string(hl_json_object_at(lines, 0), "time") : NULL);
}

static int why(struct cli_api *api, const struct cli *cli, struct hl_err *err)
{
        const char *name = cli->words[0];
        HL_CLEANUP(hl_json_cleanup) hl_json *model = NULL;
        HL_CLEANUP(hl_json_cleanup) hl_json *reasons = NULL;
        char *path = cli_model_path(name, "", err);
        int r = path ? cli_api_get(api, CLI_INFERENCE, path, &model, err) : -EINVAL;
        if (r == 0)
                r = cli_api_get(api, CLI_MONITOR, cli_model_path(name, "/why", err), &reasons, err);
        if (r < 0)
                return r;
        if (cli->is_json) {
                cli_api_show(api);
                return 0;
        }
        HL_CLEANUP(hl_free_pointer) char *ended = end_of(api, name, model);
        struct hl_buf text = { 0 };
        const struct facts facts = { or_else(hl_json_get_string(model, "model_name"), name), model, reasons, ended };
        tell(&text, &facts);
        cli_put(stdout, text.data, text.len);
        hl_buf_free(&text);
        return 0;
}

int cli_why(const struct cli *cli)
{
        struct cli_api api = { 0 };
        struct hl_err err = { 0 };
        if (cli_api_open(cli, &api, &err) == 0 && why(&api, cli, &err) < 0)
                cli_guess_model(&api, cli->words[0], &err);
        cli_api_close(&api);
        return cli_finish(&err);
}
