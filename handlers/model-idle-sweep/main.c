/* SPDX-License-Identifier: MIT */
/* model-idle-sweep - one run: stops the models that nobody uses and, when nobody uses any, switches off the host. */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/version.h"
#include "config/catalog.h"
#include "host.h"
#include "host_door.h"
#include "kernel/confine.h"
#include "models/last_use.h"
#include "models/stop.h"
#include "models/strays.h"
#include "state.h"
#include "systemd/shutdown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define STOP_TIMEOUT_US (45 * HL_USEC_PER_SEC) /* for all of them; those that take longer go on without us */
#define STOP_LOOK_US (20 * HL_USEC_PER_MSEC)   /* between two looks at them */
/* Before the host is switched off: longer than the timer's period, and how often to look in that time. */
#define WATCH_US (75 * HL_USEC_PER_SEC)
#define WATCH_EVERY_US (2 * HL_USEC_PER_SEC)
#define LAST_LOOK_US HL_USEC_PER_SEC

static const char usage_text[] =
        "Usage: model-idle-sweep [--dry-run]\n"
        "\n"
        "Stops the models that run and that nobody has used for longer than their IDLE_TIMEOUT. When no model\n"
        "has been used for host_idle_minutes, it schedules the shutdown of this host.\n"
        "model-idle-sweep.timer runs it every minute; what it did: journalctl -t model-idle-sweep\n"
        "\n"
        "  --dry-run       changes nothing, and prints what would be done and why\n"
        "  --before-sleep  only calls such a shutdown off, because the host is about to be suspended\n"
        "  --host          answers one sweep, as the user who may switch off the host\n";

/* What one sweep knows. */
struct sweep {
        struct hl_bus bus;
        struct hl_config config;
        struct hl_catalog catalog;
        struct hl_usage *usages;
        struct hl_verdict *verdicts; /* of each model: at the first look, or at the second where there was one */
        struct hl_sweep_state before, now;
        struct hl_buf strays; /* units of models that run and have no file: "model@a.service,model@b.service" */
};

static void free_sweep(struct sweep *s)
{
        hl_sweep_state_free(&s->before);
        hl_sweep_state_free(&s->now);
        hl_buf_free(&s->strays);
        free(s->usages);
        free(s->verdicts);
        hl_catalog_free(&s->catalog);
        hl_config_free(&s->config);
        hl_bus_free(&s->bus);
}

static void on_stray(void *data, const char *unit)
{
        struct sweep *s = data;
        hl_sweep_state_add(&s->strays, unit);
}

static int look(struct sweep *s, struct hl_err *err)
{
        int r = hl_config_load(NULL, &s->config, err);
        if (r == 0)
                r = hl_catalog_load(&s->config, NULL, NULL, &s->catalog, err);
        if (r == 0)
                r = hl_usage_ask(&s->bus, &s->config, &s->catalog, &s->usages, err);
        if (r == 0 && s->config.host_idle_us != HL_USEC_INFINITY)
                r = hl_strays(&s->bus, &s->config, &s->catalog, on_stray, s, err);
        return r;
}

/* A request was in flight at the last sweep, its connection is gone, and nobody has told its end since. */
static bool has_ended(const struct sweep *s, size_t i)
{
        const struct hl_usage *u = &s->usages[i];
        const char *model = s->catalog.models[i].name;
        if (u->active != HL_UNIT_ACTIVE || u->in_flight > 0 || u->unreported > 0)
                return false;
        bool is_untold = u->request_age_us > s->now.swept_us - s->before.swept_us;
        return hl_sweep_state_has(&s->before.in_flight, model) ||
               (is_untold && hl_sweep_state_has(&s->before.by_nginx, model));
}

/* What is known of all models, and what that means. */
static void decide(struct sweep *s)
{
        s->verdicts = hl_alloc(s->catalog.count * sizeof(*s->verdicts));
        for (size_t i = 0; i < s->catalog.count; i++) {
                s->usages[i].ended_unseen = has_ended(s, i);
                s->verdicts[i] = hl_verdict_decide(&s->config, &s->catalog.models[i], &s->usages[i]);
        }
}

/* The kernel forgets a connection when it is closed, and a clock that was changed misleads: what this sweep has seen is
 * written down for the next one, for the monitor, and for its own second look. */
static int note(const struct sweep *s, size_t i, struct hl_err *err)
{
        const char *model = s->catalog.models[i].name;
        const struct hl_usage *u = &s->usages[i];
        if (u->ended_unseen)
                return hl_last_use_record(model, err);
        if (u->active == HL_UNIT_ACTIVE && u->traffic_age_us != HL_USEC_INFINITY &&
            u->traffic_age_us == u->request_age_us)
                return hl_last_use_record_past(model, u->traffic_age_us, err);
        return u->needs_rebase ? hl_last_use_rebase(model, err) : 0;
}

static void note_all(const struct sweep *s)
{
        struct hl_err err = { 0 };
        for (size_t i = 0; i < s->catalog.count; i++)
                note(s, i, &err); /* err keeps the first */
        if (err.kind)
                hl_log(LOG_WARNING, NULL, "activity cannot be noted: %s", err.message);
}

/* The fields that GET /models/{model}/why reads back. more: what there is to say beside the reason, or NULL. */
static void log_model(int priority, const struct hl_model *model, const char *word, const struct hl_verdict *v,
                      const char *more)
{
        char idle[24] = "", threshold[24] = "", in_flight[16];
        if (v->idle_us != HL_USEC_INFINITY)
                snprintf(idle, sizeof(idle), "%llu", (unsigned long long)(v->idle_us / HL_USEC_PER_SEC));
        if (v->threshold_us != HL_USEC_INFINITY)
                snprintf(threshold, sizeof(threshold), "%llu", (unsigned long long)(v->threshold_us / HL_USEC_PER_SEC));
        snprintf(in_flight, sizeof(in_flight), "%u", v->in_flight);
        const struct hl_log_field fields[] = {
                { "MESSAGE_ID", HL_SWEEP_MESSAGE_ID },
                { "HL_MODEL", model->name },
                { "HL_DECISION", word },
                { "HL_REASON", hl_verdict_name(v->reason) },
                { "HL_IDLE_SECONDS", idle },
                { "HL_IN_FLIGHT", in_flight },
                { "HL_THRESHOLD_SECONDS", threshold },
                { NULL, NULL },
        };
        HL_CLEANUP(hl_free_pointer) char *why = hl_verdict_explain(v);
        hl_log(priority, fields, "%s: %s: %s%s%s", model->name, word, why, more ? "; " : "", more ? more : "");
}

/* Stops the model unless the second look finds it in use. Whether there is more of it to come. */
static bool begin_stop(struct sweep *s, size_t i, struct hl_stop *stop)
{
        struct hl_model *model = &s->catalog.models[i];
        struct hl_verdict *v = &s->verdicts[i];
        struct hl_err err = { 0 };
        int r = hl_stop_if_idle(stop, &s->bus, &s->config, model, v, &err);
        if (r < 0)
                log_model(LOG_ERR, model, "stop_failed", v, err.message);
        else if (r > 0)
                log_model(LOG_NOTICE, model, "stop", v, NULL);
        else
                log_model(LOG_NOTICE, model, "keep", v, "in use again at the second look");
        return r > 0;
}

/* The same. */
static bool step_stop(struct sweep *s, size_t i, struct hl_stop *stop, bool is_late)
{
        struct hl_err err = { 0 };
        const struct hl_wait no_longer = hl_wait_until(0);
        int r = is_late ? hl_job_wait(&stop->job, &no_longer, &err) : hl_job_poll(&stop->job, &err);
        if (r == 0 && !is_late)
                return true;
        bool started_again = err.kind == HL_ERR_CONFLICT;
        if (r < 0)
                log_model(started_again ? LOG_NOTICE : LOG_WARNING, &s->catalog.models[i],
                          started_again ? "started_again" : "stop_unfinished", &s->verdicts[i], err.message);
        hl_stop_free(stop);
        return false;
}

/* All stops run at once, and each ends when systemd says so. */
static void await(struct sweep *s, struct hl_stop *stops, bool *go_on)
{
        uint64_t deadline_us = hl_clock_monotonic() + STOP_TIMEOUT_US;
        for (bool left = true; left;) {
                bool is_late = hl_clock_monotonic() >= deadline_us;
                left = false;
                for (size_t i = 0; i < s->catalog.count; i++) {
                        go_on[i] = go_on[i] && step_stop(s, i, &stops[i], is_late);
                        left = left || go_on[i];
                }
                if (left)
                        hl_sleep_or_hangup(-1, STOP_LOOK_US);
        }
}

/* What of this model's use the next sweep must know. A request that keeps a model over its time is told once, not at
 * each sweep. */
static void keep(struct sweep *s, size_t i)
{
        const struct hl_model *model = &s->catalog.models[i];
        const struct hl_usage *u = &s->usages[i];
        const struct hl_verdict *v = &s->verdicts[i];
        if (u->active == HL_UNIT_ACTIVE && u->in_flight + u->unreported > 0)
                hl_sweep_state_add(u->unreported > 0 ? &s->now.in_flight : &s->now.by_nginx, model->name);
        if (v->reason != HL_VERDICT_IN_FLIGHT || !v->is_overdue)
                return;
        hl_sweep_state_add(&s->now.kept, model->name);
        if (!hl_sweep_state_has(&s->before.kept, model->name))
                log_model(LOG_NOTICE, model, "keep", v, NULL);
}

static void stop_idle(struct sweep *s)
{
        size_t count = s->catalog.count;
        HL_CLEANUP(hl_free_pointer) struct hl_stop *stops = hl_alloc(count * sizeof(*stops));
        HL_CLEANUP(hl_free_pointer) bool *go_on = hl_alloc(count * sizeof(*go_on));
        for (size_t i = 0; i < count; i++) {
                keep(s, i);
                go_on[i] = s->verdicts[i].reason == HL_VERDICT_IDLE && begin_stop(s, i, &stops[i]);
        }
        await(s, stops, go_on);
}

/* What is known of the host's own clock and use. */
static void remember(struct sweep *s)
{
        uint64_t now_us = hl_clock_monotonic(), used_us = hl_host_last_use(s->verdicts, s->catalog.count, now_us);
        s->now.suspended_total_us = hl_clock_boottime() - now_us;
        s->now.resumed_us = s->before.resumed_us;
        if (s->now.suspended_total_us > s->before.suspended_total_us + HL_USEC_PER_SEC)
                s->now.resumed_us = now_us;
        s->now.used_us = s->before.used_us > used_us ? s->before.used_us : used_us;
        /* Nobody can tell of a stray, and nothing is known of models that were stopped since. */
        if (s->strays.len > 0 || !s->before.known)
                s->now.used_us = now_us;
}

static void show(struct sweep *s)
{
        printf("%-28s %-6s %-13s %-13s %-9s %s\n", "MODEL", "PORT", "UNUSED FOR", "STOPPED AFTER", "IN FLIGHT", "");
        for (size_t i = 0; i < s->catalog.count; i++) {
                const struct hl_model *model = &s->catalog.models[i];
                const struct hl_verdict *v = &s->verdicts[i];
                HL_CLEANUP(hl_free_pointer) char *why = hl_verdict_explain(v);
                char port[8] = "-", idle[HL_SPAN_SIZE], threshold[HL_SPAN_SIZE];
                if (model->port)
                        snprintf(port, sizeof(port), "%u", model->port);
                printf("%-28s %-6s %-13s %-13s %-9u %s: %s\n", model->name, port, hl_format_span(v->idle_us, idle),
                       hl_format_span(v->threshold_us, threshold), v->in_flight,
                       v->reason == HL_VERDICT_IDLE ? "STOP" : "keep", why);
        }
        if (s->strays.len > 0)
                printf("running without a file, so taken for in use: %s\n", s->strays.data);
        const struct hl_host_seen seen = { .used_us = s->now.used_us, .resumed_us = s->now.resumed_us };
        sweep_host_show(&s->bus, &s->config, &seen);
}

/* Who may switch off the host is another user. s NULL: what is used cannot be seen. *ret_shutdown_at_us is set where he
 * answers, or has nothing to do. */
static void ask_for_host(const struct sweep *s, uint64_t *ret_shutdown_at_us)
{
        const struct hl_host_seen seen = { .used_us = s ? s->now.used_us : 0, .resumed_us = s ? s->now.resumed_us : 0 };
        struct hl_err err = { 0 };
        if (s ? !sweep_host_concerns(&s->config, &seen) : !hl_shutdown_is_noted())
                *ret_shutdown_at_us = 0;
        else if (hl_host_ask(HL_HOST_SOCKET, s ? &seen : NULL, ret_shutdown_at_us, &err) < 0)
                hl_log(LOG_ERR, NULL, "what is to become of the host is not known: %s", err.message);
}

/* *ret_shutdown_at_us: for when this host's shutdown is scheduled by the sweep; 0: it is not. */
static int sweep(bool dry, uint64_t *ret_shutdown_at_us)
{
        clock_t began = clock(); /* what systemd did in this process before is none of ours */
        HL_CLEANUP(free_sweep) struct sweep s = { .bus = HL_BUS_INIT };
        struct hl_err err = { 0 };
        if (look(&s, &err) < 0) {
                if (dry)
                        fprintf(stderr, "error: %s\n", err.message);
                else
                        hl_log(LOG_ERR, NULL, "nothing is stopped: %s", err.message);
                if (!dry)
                        ask_for_host(NULL, ret_shutdown_at_us);
                return err.kind == HL_ERR_BUSY ? EX_TEMPFAIL : EX_CONFIG;
        }
        hl_sweep_state_load(&s.before);
        s.now.swept_us = hl_clock_monotonic();
        decide(&s);
        remember(&s);
        if (dry) {
                show(&s);
                return EX_OK;
        }
        note_all(&s);
        stop_idle(&s);
        if (hl_sweep_state_save(&s.now, &err) < 0)
                hl_log(LOG_WARNING, NULL, "what this sweep saw cannot be kept for the next one: %s", err.message);
        ask_for_host(&s, ret_shutdown_at_us);
        hl_log_status("%zu models, %u calls of the bus, %llu ms of CPU", s.catalog.count, s.bus.calls,
                      (unsigned long long)((clock() - began) / (CLOCKS_PER_SEC / 1000)));
        return EX_OK;
}

/* The host is about to be switched off, and logind does not ask once more: so this goes on looking until it is. */
static bool watch(uint64_t shutdown_at_us)
{
        uint64_t now_us = hl_clock_realtime();
        if (shutdown_at_us > now_us + WATCH_US || shutdown_at_us <= now_us + LAST_LOOK_US)
                return false;
        uint64_t pause_us = shutdown_at_us - LAST_LOOK_US - now_us;
        if (pause_us > WATCH_EVERY_US)
                pause_us = WATCH_EVERY_US;
        hl_sleep_or_hangup(-1, pause_us);
        return true;
}

static int run(bool dry)
{
        uint64_t shutdown_at_us = 0;
        int status;
        do
                status = sweep(dry, &shutdown_at_us);
        while (watch(shutdown_at_us));
        return status;
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        bool dry = argc == 2 && strcmp(argv[1], "--dry-run") == 0;
        bool before_sleep = argc == 2 && strcmp(argv[1], "--before-sleep") == 0;
        bool host = argc == 2 && strcmp(argv[1], "--host") == 0;
        if (argc == 2 && strcmp(argv[1], "--help") == 0) {
                fputs(usage_text, stdout);
                return EX_OK;
        }
        if (argc > 1 && !dry && !before_sleep && !host) {
                fputs(usage_text, stderr);
                return EX_USAGE;
        }
        if (!dry && geteuid() == 0) { /* its files would be root's, and no longer the services' */
                fputs("model-idle-sweep: run it by \"systemctl start model-idle-sweep.service\", or with --dry-run\n",
                      stderr);
                return EX_USAGE;
        }
        if (dry)
                hl_config_adopt_environment();
        hl_keep_private();
        hl_log_open("model-idle-sweep");
        int r = hl_confine();
        if (r < 0) {
                hl_log(LOG_ERR, NULL, "nothing is stopped: this process cannot be kept to its folders: %s",
                       strerror(-r));
                return EX_UNAVAILABLE;
        }
        if (before_sleep)
                return sweep_host_call_off(HL_HOST_GOES_TO_SLEEP) < 0 ? EXIT_FAILURE : EX_OK;
        if (host) {
                hl_host_answer(STDIN_FILENO, sweep_host_act);
                return EX_OK;
        }
        return run(dry);
}
