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
static int decide(struct hl_bus *bus, const struct hl_config *config, const struct hl_host_seen *seen,
                  const struct hl_host_memory *memory, enum hl_host_reason *ret_reason, char who[HL_HOST_WHO_SIZE],
                  struct hl_err *err)
{
        who[0] = '\0';
        *ret_reason = hl_host_decide(config, seen, memory, hl_clock_monotonic());
        return *ret_reason == HL_HOST_IDLE ? hl_host_blocked(bus, ret_reason, who, err) : 0;
}

static void call_off(struct hl_bus *bus, struct hl_host_memory *memory, enum hl_host_reason reason, const char *who)
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

static void schedule(struct hl_bus *bus, const struct hl_config *config, const struct hl_host_seen *seen,
                     struct hl_host_memory *memory)
{
        struct hl_shutdown replaced;
        struct hl_err err = { 0 };
        char idle[HL_SPAN_SIZE];
        uint64_t at_us = hl_clock_realtime() + hl_host_grace_us(config);
        HL_CLEANUP(hl_free_pointer)
        char *message = hl_format("%s%s. To stay on: shutdown -c, or "
                                  "curl -X POST http://127.0.0.1:5001/shutdown/cancel",
                                  messages[0], hl_format_span(hl_clock_monotonic() - seen->used_us, idle));
        if (hl_shutdown_schedule(bus, config->host_idle_action, at_us, message, false, &replaced, &err) < 0) {
                log_host(LOG_ERR, "schedule_failed", HL_HOST_IDLE, err.message);
                return;
        }
        memory->acted_us = hl_clock_monotonic();
        memory->shutdown_at_us = at_us;
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("%s; %s", config->host_idle_action, message);
        log_host(LOG_NOTICE, "schedule", HL_HOST_IDLE, text);
}

static bool is_ours(const struct hl_host_memory *memory, const struct hl_shutdown *s)
{
        bool is_known = memory->shutdown_at_us != 0 && s->at_us == memory->shutdown_at_us;
        for (size_t i = 0; i < HL_COUNT(messages); i++)
                is_known = is_known || hl_has_prefix(s->message, messages[i]);
        return s->scheduled && s->ours && is_known;
}

static void act(struct hl_bus *bus, const struct hl_config *config, const struct hl_host_seen *seen,
                struct hl_host_memory *memory)
{
        enum hl_host_reason reason;
        char who[HL_HOST_WHO_SIZE];
        struct hl_shutdown s = { 0 };
        struct hl_err err = { 0 };
        bool acted = memory->shutdown_at_us != 0;
        int r = decide(bus, config, seen, memory, &reason, who, &err);
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
        if (acted && !s.scheduled && seen->resumed_us > memory->acted_us) { /* it was lost while the host slept */
                memory->acted_us = memory->shutdown_at_us = 0;
        } else if (acted && !ours) {
                memory->shutdown_at_us = 0;
                log_host(LOG_NOTICE, "keep", HL_HOST_CANCELLED,
                         "the shutdown was called off; no other until a model was used");
        } else if (ours && reason != HL_HOST_IDLE) {
                call_off(bus, memory, reason, *who ? who : hl_host_reason_name(reason));
        } else if (!s.scheduled && reason == HL_HOST_IDLE) {
                schedule(bus, config, seen, memory);
        }
}

static int save(const struct hl_host_memory *memory)
{
        struct hl_err err = { 0 };
        int r = hl_host_memory_save(HL_HOST_MEMORY_FILE, memory, &err);
        if (r < 0)
                hl_log(LOG_WARNING, NULL, "what was done about the host cannot be kept for the next sweep: %s",
                       err.message);
        return r;
}

int sweep_host_call_off(enum hl_host_reason reason)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        struct hl_host_memory memory;
        struct hl_shutdown s;
        struct hl_err err = { 0 };
        if (!hl_shutdown_is_noted())
                return 0;
        hl_host_memory_load(HL_HOST_MEMORY_FILE, &memory);
        int r = hl_shutdown_get(&bus, &s, &err);
        if (r < 0) {
                log_host(LOG_ERR, "unknown", reason, err.message);
                return r;
        }
        if (!is_ours(&memory, &s))
                return 0;
        call_off(&bus, &memory, reason,
                 reason == HL_HOST_UNKNOWN ? "what is used cannot be seen"
                                           : "the host goes to sleep, and is not to be off when it wakes up");
        return save(&memory);
}

uint64_t sweep_host_act(const struct hl_host_seen *seen)
{
        HL_CLEANUP(hl_bus_free) struct hl_bus bus = HL_BUS_INIT;
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        struct hl_host_memory before, memory;
        struct hl_err err = { 0 };
        int r = seen ? hl_config_load(NULL, &config, &err) : 0;
        if (r < 0)
                log_host(LOG_ERR, "unknown", HL_HOST_UNKNOWN, err.message);
        if (r < 0 || !seen) {
                sweep_host_call_off(HL_HOST_UNKNOWN);
                hl_host_memory_load(HL_HOST_MEMORY_FILE, &memory);
                return memory.shutdown_at_us;
        }
        hl_host_memory_load(HL_HOST_MEMORY_FILE, &before);
        memory = before;
        act(&bus, &config, seen, &memory);
        if (memory.acted_us != before.acted_us || memory.shutdown_at_us != before.shutdown_at_us)
                save(&memory);
        return memory.shutdown_at_us;
}

bool sweep_host_concerns(const struct hl_config *config, const struct hl_host_seen *seen)
{
        struct hl_host_memory memory;
        hl_host_memory_load(HL_HOST_MEMORY_FILE, &memory);
        return memory.shutdown_at_us != 0 || hl_shutdown_is_noted() ||
               hl_host_decide(config, seen, &memory, hl_clock_monotonic()) == HL_HOST_IDLE;
}

void sweep_host_show(struct hl_bus *bus, const struct hl_config *config, const struct hl_host_seen *seen)
{
        struct hl_host_memory memory;
        enum hl_host_reason reason;
        char who[HL_HOST_WHO_SIZE], idle[HL_SPAN_SIZE], threshold[HL_SPAN_SIZE];
        struct hl_shutdown s = { 0 };
        struct hl_err err = { 0 };
        if (config->host_idle_us == HL_USEC_INFINITY) {
                printf("host: never switched off (host_idle_minutes is not set)\n");
                return;
        }
        hl_host_memory_load(HL_HOST_MEMORY_FILE, &memory);
        int r = decide(bus, config, seen, &memory, &reason, who, &err);
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
               *who ? ": " : "", who, hl_format_span(hl_clock_monotonic() - seen->used_us, idle),
               hl_format_span(config->host_idle_us, threshold));
}
