/* SPDX-License-Identifier: MIT */
#include "status.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/size.h"
#include "config/catalog.h"
#include "holder.h"
#include "home-lab-services/check/check.h"
#include "home-lab-services/check/parts.h"
#include "models/capacity.h"
#include "models/cause.h"
#include "models/readiness.h"
#include "models/verdict.h"
#include "nginx/ports.h"
#include "product.h"
#include "systemd/bus.h"
#include "systemd/shutdown.h"
#include "systemd/units.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SWEEP_TIMER "model-idle-sweep.timer"

struct listing {
        struct hl_bus *bus;
        struct hl_buf *out;
};

static void add_address(void *data, const char *unit, enum hl_unit_state active, const char *sub)
{
        struct listing *listing = data;
        struct hl_err ignored = { 0 };
        (void)sub;
        if (active != HL_UNIT_ACTIVE)
                return;
        hl_buf_addf(listing->out, ", ");
        hl_socket_addresses(listing->bus, unit, listing->out, &ignored);
}

/* Those of a service's port, and those for other machines. */
static void add_addresses(struct hl_bus *bus, const char *service, const char *unit, struct hl_buf *out)
{
        HL_CLEANUP(hl_free_pointer) char *pattern = hl_format("%s-lan@*.socket", service);
        struct listing listing = { bus, out };
        struct hl_err ignored = { 0 };
        if (hl_socket_addresses(bus, unit, out, &ignored) == 0 && out->len > 0)
                hl_units_each_loaded(bus, pattern, add_address, &listing, &ignored);
}

static void show_service(struct hl_bus *bus, const char *label, const char *unit, enum hl_unit_state active)
{
        static const char *const words[] = { [HL_UNIT_INACTIVE] = "stopped",
                                             [HL_UNIT_STARTING] = "starting",
                                             [HL_UNIT_ACTIVE] = "up",
                                             [HL_UNIT_STOPPING] = "stopping",
                                             [HL_UNIT_FAILED] = "FAILED" };
        struct hl_buf addresses = { 0 };
        if (active == HL_UNIT_ACTIVE && strstr(unit, ".socket"))
                add_addresses(bus, label, unit, &addresses);
        if (addresses.data)
                printf("  %-22s %-9s %s\n", label, words[active], addresses.data);
        else
                printf("  %-22s %s\n", label, words[active]);
        hl_buf_free(&addresses);
}

/* Where NGINX's site listens, as its file says. */
static void show_address(void)
{
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports = { 0 };
        const char *before = "  site listens on        ";
        hl_nginx_ports_read(&ports);
        for (size_t i = 0; i < ports.count; i++) {
                if (!strstr(ports.items[i].file, "home-lab-services"))
                        continue;
                printf("%s%s", before, ports.items[i].address);
                before = ", ";
        }
        if (*before == ',')
                putchar('\n');
}

static void show_line(void *data, const char *sentence)
{
        (void)data;
        printf("  %s\n", sentence);
}

static int show_services(struct hl_bus *bus, struct hl_err *err)
{
        enum hl_unit_state states[HL_PRODUCT_UNITS];
        bool with_nginx = hl_check_has_nginx_site();
        int r = hl_product_states(bus, states, err);
        if (r < 0)
                return r;
        puts("Services");
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++) {
                const struct hl_product_unit *known = &hl_product_units[i];
                bool rests = (known->flags & HL_PRODUCT_MAY_REST) && states[i] != HL_UNIT_FAILED;
                bool is_shown = known->label || states[i] == HL_UNIT_FAILED;
                if (is_shown && !rests && (with_nginx || !(known->flags & HL_PRODUCT_FOR_NGINX)))
                        show_service(bus, known->label ? known->label : known->unit, known->unit, states[i]);
        }
        show_address();
        hl_check_silence(bus, show_line, NULL);
        return 0;
}

static const char *use_of(const struct hl_model *model, const struct hl_verdict *v)
{
        if (model->read_error)
                return "cannot be read";
        switch (v->reason) {
        case HL_VERDICT_STOPPED:
        case HL_VERDICT_FAILED:
        case HL_VERDICT_STARTING:
        case HL_VERDICT_STOPPING:
                return "-";
        case HL_VERDICT_IDLE:
                return "idle";
        default:
                break;
        }
        if (v->in_flight > 0)
                return "in use";
        return v->threshold_us == HL_USEC_INFINITY ? "pinned" : v->is_active ? "active" : "unused";
}

/* Of a model that does not run, and whose port somebody else has; or its use. free() */
static char *remark(const struct hl_model *model, const struct hl_verdict *v)
{
        bool stopped = v->reason == HL_VERDICT_STOPPED || v->reason == HL_VERDICT_FAILED;
        HL_CLEANUP(hl_free_pointer) char *holder = stopped && model->port ? hl_holder_of_port(model->port) : NULL;
        return holder ? hl_format("its port is held by %s", holder) : hl_strdup(use_of(model, v));
}

/* Why it does not run, and since when. */
static void show_end(struct hl_bus *bus, const struct hl_model *model)
{
        struct hl_unit_detail detail;
        struct hl_err ignored = { 0 };
        char span[HL_SPAN_SIZE];
        uint64_t now_us = hl_clock_realtime();
        if (hl_units_detail(bus, model->unit, &detail, &ignored) < 0 || detail.since_us == 0)
                return;
        HL_CLEANUP(hl_free_pointer) char *how = hl_units_describe(&detail);
        hl_format_span(hl_us_minus(now_us, detail.since_us), span);
        if (detail.active == HL_UNIT_FAILED)
                printf("  %-28s failed %s ago: %s; journalctl -u %s\n", "", span, how, model->unit);
        else
                printf("  %-28s stopped %s ago\n", "", span);
}

static void count_finding(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        (void)line;
        (void)key;
        *(unsigned *)data += !hl_check_is_copy(file, message);
}

/* Root can read what the services cannot; what counts is what they see. */
static int load_as_services(const struct hl_config *config, unsigned *ret_findings, struct hl_catalog *ret_catalog,
                            struct hl_err *err)
{
        const struct passwd *user = geteuid() == 0 ? getpwnam(HL_CHECK_USER) : NULL;
        bool become = user && setegid(user->pw_gid) == 0 && seteuid(user->pw_uid) == 0;
        const struct hl_report report = { count_finding, ret_findings };
        int r = hl_catalog_load(config, NULL, &report, ret_catalog, err);
        if (become && (seteuid(0) < 0 || setegid(0) < 0))
                abort();
        return r;
}

/* What the host has for its models, and who holds it. */
static void show_capacity(const struct hl_config *config, const struct hl_catalog *catalog,
                          const struct hl_usage *usages)
{
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        char name[HL_RESOURCE_TEXT], size[HL_SIZE_TEXT], used[HL_SIZE_TEXT];
        if (!config->capacity.is_set)
                return;
        for (size_t i = 0; i < catalog->count; i++)
                hl_ledger_add(&ledger, &catalog->models[i], usages[i].active);
        puts("\nCapacity");
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                if (config->capacity.bytes[i] == 0)
                        continue;
                printf("  %-22s %s of %s", hl_resource_name(i, name),
                       hl_format_size(hl_ledger_used(&ledger, i, NULL), used),
                       hl_format_size(config->capacity.bytes[i], size));
                const char *before = ": ";
                for (size_t j = 0; j < ledger.count; j++) {
                        const struct hl_model *model = ledger.holders[j].model;
                        if (model->claim.bytes[i] == 0)
                                continue;
                        printf("%s%s (%s%s)", before, model->name, hl_format_size(model->claim.bytes[i], size),
                               model->claim.keep ? ", kept" : "");
                        before = ", ";
                }
                putchar('\n');
        }
}

static int show_models(struct hl_bus *bus, const struct hl_config *config, struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_free_pointer) struct hl_usage *usages = NULL;
        unsigned findings = 0;
        int r = load_as_services(config, &findings, &catalog, err);
        if (r == 0)
                r = hl_usage_ask(bus, config, &catalog, &usages, err);
        if (r < 0)
                return r;
        printf("\nModels (%zu in %s)\n", catalog.count, config->models_dir);
        if (catalog.count > 0)
                printf("  %-28s %-6s %-9s %-13s %-9s %s\n", "NAME", "PORT", "STATE", "UNUSED FOR", "IN FLIGHT", "USE");
        for (size_t i = 0; i < catalog.count; i++) {
                const struct hl_model *model = &catalog.models[i];
                const struct hl_verdict v = hl_verdict_decide(config, model, &usages[i]);
                HL_CLEANUP(hl_free_pointer) char *word = remark(model, &v);
                char port[8] = "-", span[HL_SPAN_SIZE], cause[HL_CAUSE_SIZE];
                enum hl_model_state state = hl_cause_of_state(bus, model, usages[i].active, cause);
                if (model->port)
                        snprintf(port, sizeof(port), "%u", model->port);
                printf("  %-28s %-6s %-9s %-13s %-9u %s\n", model->name, port, hl_model_state_name(state),
                       hl_format_span(v.idle_us, span), v.in_flight, word);
                if (usages[i].active == HL_UNIT_FAILED || usages[i].active == HL_UNIT_INACTIVE)
                        show_end(bus, model);
                if (*cause)
                        printf("    %s\n", cause);
        }
        hl_check_strays(bus, config, &catalog, show_line, NULL);
        if (findings > 0)
                printf("  %u error%s in model files: home-lab-services check\n", findings, findings == 1 ? "" : "s");
        show_capacity(config, &catalog, usages);
        return 0;
}

static void show_shutdown(struct hl_bus *bus)
{
        struct hl_shutdown s;
        struct hl_err err = { 0 };
        char at[HL_RFC3339_SIZE], span[HL_SPAN_SIZE];
        printf("\nShutdown\n  ");
        if (hl_shutdown_get(bus, &s, &err) < 0) {
                printf("not known: %s: systemctl restart systemd-logind\n", err.message);
        } else if (!s.scheduled) {
                puts("none is scheduled");
        } else {
                uint64_t now_us = hl_clock_realtime();
                printf("%s at %s, in %s\n", s.action, hl_format_rfc3339(s.at_us, at),
                       hl_format_span(hl_us_minus(s.at_us, now_us), span));
        }
}

static void show_sweep(struct hl_bus *bus)
{
        uint64_t next_us = 0, now_us = hl_clock_monotonic();
        char span[HL_SPAN_SIZE];
        enum hl_unit_state active = HL_UNIT_INACTIVE;
        struct hl_err err = { 0 };
        puts("\nNext sweep of idle models");
        if (hl_unit_state_of(bus, SWEEP_TIMER, &active, &err) < 0 || active != HL_UNIT_ACTIVE)
                printf("  none: idle models are not stopped by themselves (%s %s)\n", SWEEP_TIMER,
                       active == HL_UNIT_FAILED ? "has failed" : "does not run");
        else if (hl_units_timer_next(bus, SWEEP_TIMER, &next_us, &err) < 0)
                printf("  not known: %s\n", err.message);
        else
                printf("  in %s\n", hl_format_span(hl_us_minus(next_us, now_us), span));
}

int hl_status(void)
{
        struct hl_config config = { 0 };
        struct hl_bus bus = HL_BUS_INIT;
        struct hl_err err = { 0 }, config_err = { 0 };
        bool usable = hl_config_load(NULL, &config, &config_err) == 0;
        int r = show_services(&bus, &err);
        if (r == 0 && usable)
                r = show_models(&bus, &config, &err);
        if (r == 0) {
                show_shutdown(&bus);
                show_sweep(&bus);
        }
        if (!usable)
                fprintf(stderr, "error: %s; the models are not known without it: home-lab-services check\n",
                        config_err.message);
        if (r < 0)
                fprintf(stderr, "error: %s\n", err.message);
        hl_bus_free(&bus);
        hl_config_free(&config);
        return !usable ? EX_CONFIG : r < 0 ? EX_UNAVAILABLE : EX_OK;
}
