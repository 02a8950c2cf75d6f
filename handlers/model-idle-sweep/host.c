/* SPDX-License-Identifier: MIT */
#include "host.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/verdict.h"
#include "systemd/shutdown.h"

#include <stdio.h>
#include <string.h>

static void log_host(int priority, const char *decision, enum hl_host_reason reason, const char *text)
{
        const struct hl_log_field fields[] = {
                { "MESSAGE_ID", HL_SWEEP_MESSAGE_ID },
                { "HL_DECISION", decision },
                { "HL_REASON", hl_host_reason_name(reason) },
                { NULL, NULL },
        };
        hl_log(priority, fields, "host: %s: %s", decision, text);
}

/* What is against it, if anything. who: one line for people where logind knows it, else "". */
static int decide(struct hl_bus *bus, const struct hl_config *config, const struct hl_sweep_state *memory,
                  enum hl_host_reason *ret_reason, char who[HL_HOST_WHO_SIZE], struct hl_err *err)
{
        who[0] = '\0';
        *ret_reason = hl_host_decide(config, memory, hl_clock_monotonic());
        return *ret_reason == HL_HOST_IDLE ? hl_host_blocked(bus, ret_reason, who, err) : 0;
}

static void call_off(struct hl_bus *bus, struct hl_sweep_state *memory, enum hl_host_reason reason, const char *who)
{
        struct hl_shutdown cancelled;
        struct hl_err err = { 0 };
        int r = hl_shutdown_cancel(bus, &cancelled, &err);
        log_host(r < 0 ? LOG_ERR : LOG_NOTICE, r < 0 ? "cancel_failed" : "cancel", reason, r < 0 ? err.message : who);
        if (r == 0) /* it was this sweep that called it off: when all is quiet again it may be scheduled again */
                memory->acted_us = memory->shutdown_at_us = 0;
}

/* How the message to users begins; and how logind has it after a restart of its own, which it reads it back escaped. */
static const char *const messages[] = { "No model was used for ", "Nox20modelx20wasx20usedx20forx20" };

static void schedule(struct hl_bus *bus, const struct hl_config *config, struct hl_sweep_state *memory)
{
        struct hl_shutdown replaced;
        struct hl_err err = { 0 };
        char idle[HL_SPAN_SIZE];
        uint64_t at_us = hl_clock_realtime() + hl_host_grace_us(config);
        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("%s%s. To stay on: shutdown -c, or "
                                  "curl -X POST http://127.0.0.1:5001/shutdown/cancel",
                                  messages[0], hl_format_span(hl_clock_monotonic() - memory->used_us, idle));
        if (hl_shutdown_schedule(bus, config->host_idle_action, at_us, message, false, &replaced, &err) < 0) {
                log_host(LOG_ERR, "schedule_failed", HL_HOST_IDLE, err.message);
                return;
        }
        memory->acted_us = hl_clock_monotonic();
        memory->shutdown_at_us = at_us;
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("%s; %s", config->host_idle_action, message);
        log_host(LOG_NOTICE, "schedule", HL_HOST_IDLE, text);
}

static bool is_ours(const struct hl_sweep_state *memory, const struct hl_shutdown *s)
{
        bool is_known = memory->shutdown_at_us != 0 && s->at_us == memory->shutdown_at_us;
        for (size_t i = 0; i < HL_COUNT(messages); i++)
                is_known = is_known || hl_has_prefix(s->message, messages[i]);
        return s->scheduled && s->ours && is_known;
}

void sweep_host(struct hl_bus *bus, const struct hl_config *config, struct hl_sweep_state *memory)
{
        enum hl_host_reason reason;
        char who[HL_HOST_WHO_SIZE];
        struct hl_shutdown s = { 0 };
        struct hl_err err = { 0 };
        bool acted = memory->shutdown_at_us != 0;
        int r = decide(bus, config, memory, &reason, who, &err);
        if (r == 0 && (acted || reason == HL_HOST_IDLE || hl_shutdown_is_noted()))
                r = hl_shutdown_get(bus, &s, &err);
        if (r < 0) {
                log_host(LOG_ERR, "unknown", HL_HOST_IDLE, err.message);
                return;
        }
        bool ours = is_ours(memory, &s);
        if (ours && s.at_us != memory->shutdown_at_us) { /* the sweep that scheduled it could not tell this one */
                memory->shutdown_at_us = s.at_us;
                memory->acted_us = hl_clock_monotonic();
        }
        if (acted && !s.scheduled && memory->resumed_us > memory->acted_us) { /* it was lost while the host slept */
                memory->acted_us = memory->shutdown_at_us = 0;
        } else if (acted && !ours) {
                memory->shutdown_at_us = 0;
                log_host(LOG_NOTICE, "keep", HL_HOST_CANCELLED,
                         "the shutdown was called off; no other until a model was used");
        } else if (ours && reason != HL_HOST_IDLE) {
                call_off(bus, memory, reason, *who ? who : hl_host_reason_name(reason));
        } else if (!s.scheduled && reason == HL_HOST_IDLE) {
                schedule(bus, config, memory);
        }
}

int sweep_host_call_off(enum hl_host_reason reason)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        HL_CLEANUP(hl_sweep_state_free) struct hl_sweep_state memory = { 0 };
        struct hl_shutdown s;
        struct hl_err err = { 0 };
        if (!hl_shutdown_is_noted())
                return 0;
        hl_sweep_state_load(&memory);
        int r = hl_shutdown_get(&bus, &s, &err);
        if (r == 0 && is_ours(&memory, &s)) {
                call_off(&bus, &memory, reason,
                         reason == HL_HOST_UNKNOWN ? "what is used cannot be seen"
                                                   : "the host goes to sleep, and is not to be off when it wakes up");
                r = hl_sweep_state_save(&memory, &err);
        }
        if (r < 0)
                log_host(LOG_ERR, "unknown", reason, err.message);
        return r;
}

void sweep_host_show(struct hl_bus *bus, const struct hl_config *config, const struct hl_sweep_state *memory)
{
        enum hl_host_reason reason;
        char who[HL_HOST_WHO_SIZE], idle[HL_SPAN_SIZE], threshold[HL_SPAN_SIZE];
        struct hl_shutdown s = { 0 };
        struct hl_err err = { 0 };
        if (config->host_idle_us == HL_USEC_INFINITY) {
                printf("host: never switched off (host_idle_minutes is not set)\n");
                return;
        }
        int r = decide(bus, config, memory, &reason, who, &err);
        if (r == 0 && reason == HL_HOST_IDLE)
                r = hl_shutdown_get(bus, &s, &err);
        if (r < 0) {
                printf("host: not known: %s\n", err.message);
                return;
        }
        if (s.scheduled)
                reason = HL_HOST_SCHEDULED;
        printf("host: %s, %s%s%s; no model used for %s, switched off after %s\n",
               reason == HL_HOST_IDLE ? config->host_idle_action : "stays on", hl_host_reason_name(reason),
               *who ? ": " : "", who, hl_format_span(hl_clock_monotonic() - memory->used_us, idle),
               hl_format_span(config->host_idle_us, threshold));
}
