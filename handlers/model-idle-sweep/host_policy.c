/* SPDX-License-Identifier: MIT */
#include "host_policy.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESTINATION "org.freedesktop.login1"
#define PATH "/org/freedesktop/login1"
#define MANAGER DESTINATION ".Manager"
#define SESSION DESTINATION ".Session"

uint64_t hl_host_last_use(const struct hl_verdict *verdicts, size_t count, uint64_t now_us)
{
        uint64_t latest_us = 0;
        for (size_t i = 0; i < count; i++) {
                uint64_t used_us = verdicts[i].unused_us < now_us ? now_us - verdicts[i].unused_us : 0;
                if (used_us > latest_us)
                        latest_us = used_us;
        }
        return latest_us;
}

enum hl_host_reason hl_host_decide(const struct hl_config *config, const struct hl_host_seen *seen,
                                   const struct hl_host_memory *memory, uint64_t now_us)
{
        if (config->host_idle_us == HL_USEC_INFINITY)
                return HL_HOST_DISABLED;
        if (now_us < config->host_idle_us)
                return HL_HOST_JUST_BOOTED;
        uint64_t since_us = now_us - config->host_idle_us;
        if (seen->used_us > since_us)
                return HL_HOST_IN_USE;
        if (seen->resumed_us > since_us)
                return HL_HOST_JUST_RESUMED;
        if (memory->acted_us > seen->used_us && memory->shutdown_at_us == 0)
                return HL_HOST_CANCELLED;
        return HL_HOST_IDLE;
}

/* 1: somebody is logged in there, 0: it is a greeter, a cron job, or a session that is ending or gone. */
static int is_somebody(struct hl_bus *bus, const char *path)
{
        HL_CLEANUP(hl_free_pointer) char *class = NULL;
        HL_CLEANUP(hl_free_pointer) char *state = NULL;
        bus->calls += 2;
        int r = sd_bus_get_property_string(bus->bus, DESTINATION, path, SESSION, "Class", NULL, &class);
        if (r >= 0)
                r = sd_bus_get_property_string(bus->bus, DESTINATION, path, SESSION, "State", NULL, &state);
        if (r == -EBADR || r == -ENXIO) /* D-Bus' UnknownObject, logind's NoSuchSession */
                return 0;
        return r < 0 ? r : hl_has_prefix(class, "user") && strcmp(state, "closing") != 0;
}

static int find_session(struct hl_bus *bus, char *who, sd_bus_error *error)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        const char *user, *seat, *path;
        bus->calls++;
        int r = sd_bus_call_method(bus->bus, DESTINATION, PATH, MANAGER, "ListSessions", error, &reply, "");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(susso)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(susso)", NULL, NULL, &user, &seat, &path)) > 0) {
                snprintf(who, HL_HOST_WHO_SIZE, "%.60s is logged in%s%.60s", user, *seat ? " at " : "", seat);
                r = is_somebody(bus, path);
                if (r != 0)
                        return r;
        }
        return r;
}

static int find_inhibitor(struct hl_bus *bus, char *who, sd_bus_error *error)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        const char *what, *name, *why, *mode;
        bus->calls++;
        int r = sd_bus_call_method(bus->bus, DESTINATION, PATH, MANAGER, "ListInhibitors", error, &reply, "");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssuu)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssuu)", &what, &name, &why, &mode, NULL, NULL)) > 0) {
                HL_CLEANUP(hl_free_pointer) char *list = hl_format(":%s:", what);
                if (hl_has_prefix(mode, "block") && (strstr(list, ":shutdown:") || strstr(list, ":idle:"))) {
                        snprintf(who, HL_HOST_WHO_SIZE, "%.60s inhibits it: %.60s", name, why);
                        return 1;
                }
        }
        return r;
}

int hl_host_blocked(struct hl_bus *bus, enum hl_host_reason *ret_reason, char ret_who[HL_HOST_WHO_SIZE],
                    struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        enum hl_host_reason reason = HL_HOST_USER_LOGGED_IN;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        r = find_session(bus, ret_who, &error);
        if (r == 0) {
                reason = HL_HOST_INHIBITED;
                r = find_inhibitor(bus, ret_who, &error);
        }
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking logind who is there");
        if (r > 0)
                hl_make_printable(ret_who);
        else
                ret_who[0] = '\0'; /* whom it has looked at last is not in the way */
        *ret_reason = r > 0 ? reason : HL_HOST_IDLE;
        return 0;
}

const char *hl_host_reason_name(enum hl_host_reason reason)
{
        static const char *const names[] = {
                [HL_HOST_DISABLED] = "not_wanted",
                [HL_HOST_IN_USE] = "in_use",
                [HL_HOST_JUST_BOOTED] = "just_booted",
                [HL_HOST_JUST_RESUMED] = "just_resumed",
                [HL_HOST_CANCELLED] = "called_off",
                [HL_HOST_USER_LOGGED_IN] = "user_logged_in",
                [HL_HOST_INHIBITED] = "inhibited",
                [HL_HOST_GOES_TO_SLEEP] = "goes_to_sleep",
                [HL_HOST_UNKNOWN] = "unknown",
                [HL_HOST_SCHEDULED] = "scheduled",
                [HL_HOST_IDLE] = "idle",
        };
        return names[reason];
}

uint64_t hl_host_grace_us(const struct hl_config *config)
{
        return config->host_idle_us < HL_HOST_GRACE_US ? config->host_idle_us : HL_HOST_GRACE_US;
}
