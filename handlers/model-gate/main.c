/* SPDX-License-Identifier: MIT */
/* model-gate - what systemd asks before it starts a model (ExecCondition= of model@.service): does it fit beside those
 * that run?
 *
 * It says yes (0), or no, with one line in the model's journal: 1, not now; 2, not even alone; 3, it cannot be told. A
 * model that claims nothing and is in no group passes before anybody is asked.
 *
 * It was ready when it ran the last time. Until it is again, NGINX asks who listens on its port. */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/version.h"
#include "config/catalog.h"
#include "kernel/privileges.h"
#include "marks.h"
#include "models/capacity.h"
#include "models/ready_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum answer { PASS = 0, NOT_NOW = 1, NEVER = 2, UNTOLD = 3 };

#define GROUP "home-lab-services"               /* which may read what the services read */
#define UNDECIDED_MAX_US (10 * HL_USEC_PER_SEC) /* for the gates of those that began before */
#define UNDECIDED_LOOK_US (20 * HL_USEC_PER_MSEC)

__attribute__((format(printf, 2, 3))) static enum answer say(enum answer answer, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        HL_CLEANUP(hl_free_pointer) char *text = hl_vformat(format, args);
        va_end(args);
        fprintf(stderr, "<4>%s\n", text); /* sd-daemon(3): a warning */
        return answer;
}

/* From here on it is a user that may do nothing, and no program that it ran could do more. */
static int become_nobody(void)
{
        int r = hl_privileges_are_roots() ? hl_privileges_see_host() : 0;
        return r < 0 || !hl_privileges_are_roots() ? r : hl_privileges_become("nobody", GROUP);
}

/* Without the file model-measure@.service does not come up, so that nothing is spent on measures without a capacity. */
static void note_capacity(bool is_set)
{
        HL_CLEANUP(hl_free_pointer)
        char *file = hl_format("%s/capacity", hl_folder("HL_GATE_DIRECTORY", "/run/home-lab-services/gate"));
        int fd = is_set ? open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644) : -1;
        hl_close_fd(&fd);
        if (!is_set)
                unlink(file);
}

/* Of two that start at once the one that began earlier ignores the other. Their names decide where both began in the
 * same microsecond. */
static void ignore_later(const struct hl_ledger *ledger, const struct hl_model *model)
{
        const struct hl_holder *own = hl_ledger_find(ledger, model);
        for (size_t i = 0; own && i < ledger->count; i++) {
                struct hl_holder *other = &ledger->holders[i];
                other->ignored = other->begun_us > own->begun_us ||
                                 (other->begun_us == own->begun_us && strcmp(other->model->name, model->name) > 0);
        }
}

/* What would be if all whose own gates have not decided yet were sent away. */
static bool hangs_on_undecided(const struct hl_config *config, const struct hl_ledger *ledger,
                               const struct hl_model *model)
{
        for (size_t i = 0; i < ledger->count; i++)
                ledger->holders[i].ignored |= ledger->holders[i].undecided;
        return hl_fit_of(config, ledger, model).verdict == HL_FIT_NOW;
}

static enum answer tell(const struct hl_config *config, const struct hl_ledger *ledger, const struct hl_model *model,
                        const struct hl_fit *fit)
{
        struct hl_err err = { 0 };
        hl_fail_fit(config, ledger, model, fit, &err);
        return say(fit->verdict == HL_FIT_NEVER ? NEVER : NOT_NOW, "%s is not started: %s", model->name, err.message);
}

/* Without a bus systemd's marks say what runs. */
static int read_ledger(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                       struct hl_ledger *ret_ledger, struct hl_err *err)
{
        struct hl_err ignored = { 0 };
        if (hl_ledger_read(bus, config, catalog, ret_ledger, &ignored) == 0)
                return 0;
        return gate_marks_read(catalog, ret_ledger, err);
}

static enum answer ask(const struct hl_config *config, const struct hl_catalog *catalog, const struct hl_model *model)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        uint64_t deadline_us = hl_clock_monotonic() + UNDECIDED_MAX_US;
        for (;;) {
                HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
                struct hl_err err = { 0 };
                if (read_ledger(&bus, config, catalog, &ledger, &err) < 0)
                        return say(UNTOLD, "%s is not started: nobody can tell what runs beside it: %s", model->name,
                                   err.message);
                ignore_later(&ledger, model);
                struct hl_fit fit = hl_fit_of(config, &ledger, model);
                if (fit.verdict == HL_FIT_NOW)
                        return PASS;
                if (hl_clock_monotonic() >= deadline_us || !hangs_on_undecided(config, &ledger, model)) {
                        ignore_later(&ledger, model); /* as it was when fit was decided */
                        return tell(config, &ledger, model, &fit);
                }
                usleep(UNDECIDED_LOOK_US);
        }
}

/* A configuration that is not valid says nothing of the host. It keeps nobody from starting a model that needs nothing
 * of it. */
static enum answer without_configuration(const char *name, const char *why)
{
        const char *folder = getenv("MODELS_CONFIG_DIR");
        const struct hl_config usual = { .models_dir = folder ? folder : HL_MODELS_DIR,
                                         .unit_template = "model@%s.service",
                                         .health_path = "/health" };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err ignored = { 0 };
        if (hl_catalog_load(&usual, name, NULL, &catalog, &ignored) < 0 || catalog.count == 0 ||
            !hl_claim_is_any(&catalog.models[0].claim))
                return PASS;
        return say(UNTOLD, "%s is not started: nobody can tell whether it fits: %s", name, why);
}

static enum answer decide(const char *name)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog own = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog all = { 0 };
        struct hl_err err = { 0 };
        hl_config_adopt_environment();
        if (hl_config_load(NULL, &config, &err) < 0)
                return without_configuration(name, err.message);
        note_capacity(config.capacity.is_set);
        if (hl_catalog_load(&config, name, NULL, &own, &err) < 0)
                return say(PASS, "%s is started unasked: %s", name, err.message);
        if (own.count == 0 || !hl_claim_matters(&own.models[0].claim, &config.capacity))
                return own.count == 0 || hl_model_readable(&own.models[0], &err) == 0
                               ? PASS
                               : say(PASS, "%s is started unasked: %s", name, err.message);
        if (hl_catalog_load(&config, NULL, NULL, &all, &err) < 0)
                return say(UNTOLD, "%s is not started: nobody can tell what runs beside it: %s", name, err.message);
        return ask(&config, &all, &own.models[0]);
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        if (argc != 2 || !hl_model_name_valid(argv[1])) {
                fputs("Usage: model-gate MODEL_NAME, as the ExecCondition= of model@.service\n", stderr);
                return EX_USAGE;
        }
        hl_ready_mark_remove(argv[1]); /* while it may */
        int r = become_nobody();
        if (r < 0)
                return (int)say(PASS, "%s is started unasked: model-gate cannot be nobody of group " GROUP ": %s",
                                argv[1], strerror(-r));
        return (int)decide(argv[1]);
}
