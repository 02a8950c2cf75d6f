/* SPDX-License-Identifier: MIT */
/* model-measure - what a model has really used, right before it is stopped (ExecStop= of model-measure@.service).
 *
 * It notes that for GET /capacity and for "home-lab-services check", and says it in the journal under the model's name.
 * Where config.json has no "capacity", or the model was not ready, it does nothing. Whatever happens it ends soon, and
 * with 0: no model stops another way for it. */
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

static void say(const struct hl_model *model, const struct hl_measured *measured)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        char name[HL_RESOURCE_TEXT], size[HL_SIZE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (measured->bytes[i] > 0)
                        hl_buf_addf(&text, "%s%s of %s", text.len > 0 ? ", " : "",
                                    hl_format_size(measured->bytes[i], size), hl_resource_name(i, name));
        if (text.len > 0)
                fprintf(stderr, "<5>%s used %s\n", model->name, text.data); /* sd-daemon(3): a notice */
}

static void measure(const char *name, const char *cgroup, const struct measure_fdinfo *fdinfo)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err ignored = { 0 }; /* the gate and the check say what is wrong */
        if (hl_config_load(NULL, &config, &ignored) < 0 || !config.capacity.is_set ||
            hl_catalog_load(&config, name, NULL, &catalog, &ignored) < 0 || catalog.count == 0 ||
            !was_ready(&catalog.models[0]))
                return;
        struct hl_measured measured = hl_measured_now(cgroup);
        add_files(fdinfo, &measured);
        if (fdinfo->has_nvidia)
                measure_nvidia(cgroup, &measured);
        hl_measured_record(&catalog.models[0], measured.bytes);
        say(&catalog.models[0], &measured);
}

int main(int argc, char **argv)
{
        HL_CLEANUP(measure_fdinfo_free) struct measure_fdinfo fdinfo = { 0 };
        if (hl_version_asked(argc, argv))
                return EX_OK;
        const char *at = argc == 2 ? strchr(argv[1], '@') : NULL;
        if (!at || !hl_model_name_valid(at + 1)) {
                fputs("Usage: model-measure TEMPLATE@MODEL_NAME, as the ExecStop= of model-measure@.service\n", stderr);
                return EX_USAGE;
        }
        alarm(ALL_MAX_SECONDS);
        HL_CLEANUP(hl_free_pointer) char *unit = hl_format("%s.service", argv[1]);
        HL_CLEANUP(hl_cgroups_free) struct hl_cgroups groups;
        hl_cgroups_of_unit(unit, &groups);
        if (!groups.path) /* it has ended by itself */
                return EX_OK;
        measure_fdinfo_read(groups.path, &fdinfo);
        if (!hl_privileges_are_roots() || hl_privileges_become(SERVICES, SERVICES) == 0)
                measure(at + 1, groups.path, &fdinfo);
        return EX_OK;
}
