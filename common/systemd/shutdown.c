/* SPDX-License-Identifier: MIT */
#include "shutdown.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/users.h"
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEDULED_FILE HL_SHUTDOWN_FOLDER "/scheduled"
#define SCHEDULED_FILE_SIZE_MAX 16384 /* bytes */

/* Who schedules one; and who did before an upgrade that was installed since. */
static const char *const users[] = { "home-lab-power", "home-lab-services" };

struct owner {
        uint64_t uid;
        bool known;
};

static void read_owner(void *data, unsigned line, const char *name, const char *value)
{
        (void)line;
        struct owner *owner = data;
        if (strcmp(name, "UID") == 0)
                owner->known = hl_parse_uint(value, UINT32_MAX, &owner->uid) == 0;
}

/* Whose it is and since when, as far as the file tells. */
static void read_file(struct hl_shutdown *s)
{
        struct hl_buf text = { 0 };
        struct owner owner = { 0 };
        struct stat status;
        if (hl_read_file(AT_FDCWD, SCHEDULED_FILE, SCHEDULED_FILE_SIZE_MAX, &text) == 0 && text.data)
                hl_envfile_parse(&(struct hl_envfile){ .text = text.data, .len = text.len }, read_owner, &owner, NULL);
        if (stat(SCHEDULED_FILE, &status) == 0)
                s->created_us = hl_timespec_us(status.st_mtim);
        s->ours = owner.known && (owner.uid == getuid() ||
                                  hl_users_find(HL_USERS_FILE, (uint32_t)owner.uid, users, HL_COUNT(users)) >= 0);
        hl_buf_free(&text);
}

bool hl_shutdown_is_noted(void)
{
        return access(SCHEDULED_FILE, F_OK) == 0;
}

int hl_shutdown_get(struct hl_bus *bus, struct hl_shutdown *ret_shutdown, struct hl_err *err)
{
        struct hl_shutdown s = { 0 };
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        const char *action;
        HL_CLEANUP(hl_free_pointer) char *message = NULL;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;

        bus->calls++;
        r = sd_bus_get_property(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER, "ScheduledShutdown", &error,
                                &reply, "(st)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(st)", &action, &s.at_us);
        if (r >= 0 && *action) {
                s.scheduled = true;
                strncpy(s.action, action, sizeof(s.action) - 1);
                bus->calls++;
                r = sd_bus_get_property_string(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER, "WallMessage",
                                               &error, &message);
        }
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking logind for the scheduled shutdown");
        if (s.scheduled) {
                if (message)
                        strncpy(s.message, message, sizeof(s.message) - 1);
                read_file(&s);
        }
        *ret_shutdown = s;
        return 0;
}

/* What logind refuses, polkit's rule has granted in general: it is the moment that is wrong. */
static int refused(struct hl_err *err, int r, const sd_bus_error *error, const char *what)
{
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) ||
            sd_bus_error_has_name(error, HL_LOGIND ".BlockedByInhibitorLock"))
                return hl_fail(err, HL_ERR_FORBIDDEN, EACCES, "refused_by_policy",
                               "logind refuses: an inhibitor is held (\"systemd-inhibit --list\"), or polkit does not "
                               "allow %s",
                               what);
        return hl_bus_fail(err, r, error, what);
}

/* The text stays in logind until it is set anew, also after a cancel. */
static int set_wall_message(struct hl_bus *bus, const char *message, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        int r = sd_bus_call_method(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER, "SetWallMessage", &error,
                                   NULL, "sb", message, 1);
        return r < 0 ? refused(err, r, &error, "setting the message to users") : 0;
}

int hl_shutdown_schedule(struct hl_bus *bus, const char *action, uint64_t at_us, const char *message,
                         bool replace_others, struct hl_shutdown *ret_replaced, struct hl_err *err)
{
        struct hl_shutdown before;
        int r = hl_shutdown_get(bus, &before, err);
        if (r < 0)
                return r;
        if (before.scheduled && !before.ours && !replace_others) {
                char at[HL_RFC3339_SIZE];
                return hl_fail(err, HL_ERR_CONFLICT, EEXIST, "scheduled_by_others",
                               "somebody else scheduled a %s for %s: send \"replace\": true to replace it",
                               before.action, hl_format_rfc3339(before.at_us, at));
        }
        uint64_t now_us = hl_clock_realtime();
        if (at_us <
            now_us + HL_SHUTDOWN_LEAST_US - HL_USEC_PER_SEC / 10) /* a tenth of it may have gone by on the way here */
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "not_in_the_future",
                               "the time must be at least one second from now");

        r = set_wall_message(bus, message ? message : "Scheduled by home-lab-services", err);
        if (r < 0)
                return r;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bus->calls++;
        r = sd_bus_call_method(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER, "ScheduleShutdown", &error, NULL,
                               "st", action, at_us);
        if (r < 0)
                return refused(err, r, &error, "scheduling a shutdown");
        *ret_replaced = before;
        return 0;
}

int hl_shutdown_cancel(struct hl_bus *bus, struct hl_shutdown *ret_cancelled, struct hl_err *err)
{
        struct hl_shutdown before;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        int r = hl_shutdown_get(bus, &before, err), was_there = 0;
        if (r < 0)
                return r;
        if (before.scheduled) {
                bus->calls++;
                r = sd_bus_call_method(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER,
                                       "CancelScheduledShutdown", &error, &reply, "");
                if (r >= 0)
                        r = sd_bus_message_read(reply, "b", &was_there);
                if (r < 0)
                        return refused(err, r, &error, "cancelling the shutdown");
        }
        if (!was_there)
                return hl_fail(err, HL_ERR_NOT_FOUND, ENOENT, "no_shutdown", "no shutdown is scheduled");

        struct hl_err ignored = { 0 }; /* the cancel is done; an old text does no harm */
        set_wall_message(bus, "", &ignored);
        *ret_cancelled = before;
        return 0;
}

int hl_shutdown_permission(struct hl_bus *bus, char *ret_word, size_t word_size, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        const char *word;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        bus->calls++;
        r = sd_bus_call_method(bus->bus, HL_LOGIND, HL_LOGIND_PATH, HL_LOGIND_MANAGER, "CanPowerOff", &error, &reply,
                               "");
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &word);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking logind whether it may power off");
        snprintf(ret_word, word_size, "%s", word);
        return 0;
}
