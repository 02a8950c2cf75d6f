/* SPDX-License-Identifier: MIT */
/* model-measure - what a model really uses, when it has become ready and right before it is stopped (ExecStart= and
 * ExecStop= of model-measure@.service).
 *
 * It notes that for GET /capacity and for "home-lab-services check", and says it in the journal under the model's name.
 * Where config.json has no "capacity", or the model was not ready, it does nothing. Whatever happens it ends with 0,
 * and before a stop soon: no model stops another way for it. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "base/version.h"
#include "fdinfo.h"
#include "kernel/cgroups.h"
#include "kernel/held.h"
#include "kernel/privileges.h"
#include "models/measured.h"
#include "models/ready_mark.h"
#include "nvidia.h"
#include "systemd/units.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SERVICES "home-lab-services" /* the user who writes down what the services read, and its group */
#define ALL_MAX_SECONDS 10
#define READY_MAX_SECONDS 600

/* What it is run for. */
struct run {
        bool is_end; /* the model is stopped, else it has become ready */
        const char *name, *cgroup;
        struct measure_fdinfo fdinfo;
};

/* As those judge who make room: whoever started it has seen it ready, or it had the time for that. */
static bool was_ready(const struct hl_model *model)
{
        uint64_t begun_us = hl_unit_start_hint(model->unit);
        if (begun_us == 0)
                return false;
        return hl_us_minus(hl_clock_realtime(), begun_us) > model->start_timeout_us ||
               hl_ready_mark_since(model->name, hl_clock_monotonic_of(begun_us));
}

/* Two tell of some cards, and each knows only a part: the controller sees what is held by nobody's file, and a file
 * what is held of the host's memory. */
static void add_files(const struct measure_fdinfo *fdinfo, struct hl_measured *measured)
{
        struct measure_card cards[MEASURE_CARDS_MAX];
        struct hl_measured by_files = { 0 };
        size_t count = fdinfo->text.len > 0 ? measure_fdinfo_parse(fdinfo->text.data, cards) : 0;
        for (size_t i = 0; i < count; i++)
                hl_measured_add(&by_files, cards[i].address, measure_card_bytes(&cards[i]));
        for (size_t i = 0; i < HL_GPUS_MAX; i++)
                if (by_files.bytes[i] > measured->bytes[i])
                        measured->bytes[i] = by_files.bytes[i];
}

static void say(const struct run *run, const struct hl_measured *measured)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        char name[HL_RESOURCE_TEXT], size[HL_SIZE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (measured->bytes[i] > 0)
                        hl_buf_addf(&text, "%s%s of %s", text.len > 0 ? ", " : "",
                                    hl_format_size(measured->bytes[i], size), hl_resource_name(i, name));
        if (text.len > 0)
                fprintf(stderr, "<5>%s %s %s\n", run->name, run->is_end ? "used" : "is ready and uses",
                        text.data); /* sd-daemon(3): a notice */
}

static void measure(const struct run *run)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err ignored = { 0 }; /* the gate and the check say what is wrong */
        if (hl_config_load(NULL, &config, &ignored) < 0 || !config.capacity.is_set ||
            hl_catalog_load(&config, run->name, NULL, &catalog, &ignored) < 0 || catalog.count == 0 ||
            !was_ready(&catalog.models[0]))
                return;
        struct hl_measured measured = hl_measured_now(run->cgroup);
        add_files(&run->fdinfo, &measured);
        if (run->fdinfo.has_nvidia)
                measure_nvidia(run->cgroup, &measured);
        hl_measured_record(&catalog.models[0], measured.bytes, run->is_end);
        say(run, &measured);
}

/* What only root may see is read before anything else. */
static void look(const char *unit, struct run *run)
{
        HL_CLEANUP(hl_cgroups_free) struct hl_cgroups groups;
        hl_cgroups_of_unit(unit, &groups);
        if (!groups.path) /* it has ended by itself */
                return;
        run->cgroup = groups.path;
        measure_fdinfo_read(groups.path, &run->fdinfo);
        if (!hl_privileges_are_roots() || hl_privileges_become(SERVICES, SERVICES) == 0)
                measure(run);
        measure_fdinfo_free(&run->fdinfo);
}

/* Who finds the model ready marks it. Nobody may ever ask. */
static void await_ready(const char *unit, const char *name)
{
        uint64_t begun_us = hl_unit_start_hint(unit);
        if (begun_us > 0)
                hl_ready_mark_await(name, hl_clock_monotonic_of(begun_us),
                                    hl_clock_monotonic() + READY_MAX_SECONDS * HL_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        bool is_start = argc == 3 && strcmp(argv[1], "--ready") == 0;
        const char *at = argc == 2 || is_start ? strchr(argv[argc - 1], '@') : NULL;
        if (!at || !hl_model_name_valid(at + 1)) {
                fputs("Usage: model-measure [--ready] TEMPLATE@MODEL_NAME, as model-measure@.service says\n", stderr);
                return EX_USAGE;
        }
        struct run run = { .is_end = !is_start, .name = at + 1 };
        HL_CLEANUP(hl_free_pointer) char *unit = hl_format("%s.service", argv[argc - 1]);
        if (is_start)
                await_ready(unit, run.name);
        alarm(ALL_MAX_SECONDS);
        look(unit, &run);
        return EX_OK;
}
