/* SPDX-License-Identifier: MIT */
/* The part of check.c that looks at what models need, and at what the host has. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "models/measured.h"
#include "parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define MORE_MIN (16 * MIB) /* that a model used more than it claims */
#define LESS_MIN GIB        /* that it used less, where that is less than */
#define LESS_PERCENT 67     /* of what it claims */
#define GATE_DROP_IN "model@.service.d/gate.conf"

static void note(struct hl_check *c, char *text)
{
        HL_CLEANUP(hl_free_pointer) char *owned = text;
        hl_check_note(c, "%s", owned);
}

static const char *key_of(size_t resource)
{
        return resource == HL_MEMORY ? "MEMORY" : "GPU_MEMORY";
}

static void check_amounts(struct hl_check *c, const struct hl_model *model)
{
        char name[HL_RESOURCE_TEXT], needs[HL_SIZE_TEXT], has[HL_SIZE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t claim = model->claim.bytes[i], budget = c->config.capacity.bytes[i];
                hl_resource_name(i, name);
                if (claim > 0 && budget == 0)
                        note(c, hl_format("%s: %s of %s, of which \"capacity\" in config.json says nothing, so nobody "
                                          "counts it: say there how much there is",
                                          model->file_path, key_of(i), name));
                else if (claim > budget)
                        hl_check_problem(c, "%s: %s: it needs %s of %s, which has %s, so it never starts",
                                         model->file_path, key_of(i), hl_format_size(claim, needs), name,
                                         hl_format_size(budget, has));
        }
}

/* An amount that is a little more, as a file says it: "18.5G", "832M". */
static void add_amount(struct hl_buf *out, uint64_t bytes)
{
        uint64_t step = bytes < 4 * GIB ? MORE_MIN : GIB / 2, rounded = (bytes + step - 1) / step * step;
        if (rounded % (GIB / 2) == 0)
                hl_buf_addf(out, "%" PRIu64 "%sG", rounded / GIB, rounded % GIB ? ".5" : "");
        else
                hl_buf_addf(out, "%" PRIu64 "M", rounded / MIB);
}

/* The key as it should be for this resource, and is for the others: GPU_MEMORY="0:18.5G 1:6G". free() */
static char *advice(const struct hl_model *model, const struct hl_measured *measured, size_t resource)
{
        struct hl_buf out = { 0 };
        hl_buf_addf(&out, "%s=\"", key_of(resource));
        size_t start = out.len, first = resource == HL_MEMORY ? HL_MEMORY : 0,
               end = resource == HL_MEMORY ? HL_RESOURCES : HL_GPUS_MAX, others = 0;
        for (size_t i = 1; i < HL_GPUS_MAX; i++)
                others += i == resource || model->claim.bytes[i] > 0;
        for (size_t i = first; i < end; i++) {
                uint64_t bytes = i == resource ? measured->bytes[i] : model->claim.bytes[i];
                if (bytes == 0)
                        continue;
                hl_buf_adds(&out, out.len > start ? " " : "");
                if (others > 0 && resource != HL_MEMORY)
                        hl_buf_addf(&out, "%zu:", i);
                add_amount(&out, bytes);
        }
        hl_buf_adds(&out, "\"");
        return out.data;
}

/* What it claims of a resource that is limited, beside what it used. */
static void note_measured(struct hl_check *c, const struct hl_model *model)
{
        struct hl_measured measured = hl_measured_of(model);
        char name[HL_RESOURCE_TEXT], claims[HL_SIZE_TEXT], has[HL_SIZE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t claim = model->claim.bytes[i], used = measured.bytes[i];
                bool is_more = used >= claim + MORE_MIN,
                     is_less = measured.to_end && used + LESS_MIN <= claim && used * 100 < claim * LESS_PERCENT;
                if (c->config.capacity.bytes[i] == 0 || used == 0 || (!is_more && !is_less))
                        continue;
                HL_CLEANUP(hl_free_pointer) char *write = advice(model, &measured, i);
                note(c, hl_format("%s: %s: it claims %s of %s and used %s%s: write %s", model->file_path, key_of(i),
                                  claim > 0 ? hl_format_size(claim, claims) : "nothing", hl_resource_name(i, name),
                                  hl_format_size(used, has),
                                  is_more ? ", so what does not fit beside it may be started"
                                          : " at most, so others wait that would fit beside it",
                                  write));
        }
}

static bool is_shared(const struct hl_catalog *catalog, size_t except, const char *group, size_t len)
{
        for (size_t i = 0; i < catalog->count; i++)
                if (i != except && hl_in_list(catalog->models[i].claim.groups, group, len))
                        return true;
        return false;
}

static void note_lonely_groups(struct hl_check *c, const struct hl_catalog *catalog, size_t i)
{
        const struct hl_model *model = &catalog->models[i];
        const char *groups = model->claim.groups, *group;
        size_t len;
        while ((group = hl_next_word(&groups, &len)))
                if (!is_shared(catalog, i, group, len))
                        note(c, hl_format("%s: GROUP %.*s has no other member, so it excludes nobody: write it as the "
                                          "others do, or remove it",
                                          model->file_path, (int)len, group));
}

/* Kept ones are for ever: who has to wait for one of them waits in vain. */
static void note_kept(struct hl_check *c, const struct hl_catalog *catalog)
{
        char name[HL_RESOURCE_TEXT], all[HL_SIZE_TEXT], has[HL_SIZE_TEXT];
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t kept = 0, budget = c->config.capacity.bytes[i];
                for (size_t j = 0; j < catalog->count; j++)
                        kept += catalog->models[j].claim.keep ? catalog->models[j].claim.bytes[i] : 0;
                if (budget > 0 && kept > budget)
                        note(c, hl_format("models with KEEP=yes need %s of %s, which has %s: they never run together",
                                          hl_format_size(kept, all), hl_resource_name(i, name),
                                          hl_format_size(budget, has)));
        }
}

/* The gate is a drop-in of model@.service. Another template has it only where somebody has put it there. */
static void note_missing_gate(struct hl_check *c)
{
        static const char *const folders[] = { "/etc/systemd/system", "/run/systemd/system",
                                               "/usr/local/lib/systemd/system", "/usr/lib/systemd/system" };
        const char *template = c->config.unit_template, *hole = strstr(template, "%s");
        HL_CLEANUP(hl_free_pointer) char *unit = hl_format("%.*s%s", (int)(hole - template), template, hole + 2);
        HL_CLEANUP(hl_free_pointer) char *ours = NULL;
        for (size_t i = 0; i < HL_COUNT(folders); i++) {
                HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/%s.d/gate.conf", folders[i], unit);
                if (access(file, F_OK) == 0)
                        return;
                if (ours == NULL) {
                        HL_CLEANUP(hl_free_pointer) char *gate = hl_format("%s/" GATE_DROP_IN, folders[i]);
                        if (access(gate, F_OK) == 0)
                                ours = hl_steal(gate);
                }
        }
        note(c, ours ? hl_format("%s has no gate, so \"systemctl start\" gets past the capacity: mkdir -p "
                                 "/etc/systemd/system/%s.d && ln -s %s /etc/systemd/system/%s.d/ && systemctl "
                                 "daemon-reload",
                                 unit, unit, ours, unit)
                     : hl_format("%s has no gate, so \"systemctl start\" gets past the capacity: %s", unit,
                                 hl_check_again()));
}

void hl_check_capacity(struct hl_check *c, const struct hl_catalog *catalog)
{
        bool is_used = false;
        c->cause = CAUSE_MODELS;
        for (size_t i = 0; i < catalog->count; i++) {
                check_amounts(c, &catalog->models[i]);
                note_measured(c, &catalog->models[i]);
                note_lonely_groups(c, catalog, i);
                is_used |= hl_claim_matters(&catalog->models[i].claim, &c->config.capacity);
        }
        note_kept(c, catalog);
        if (is_used)
                note_missing_gate(c);
}
