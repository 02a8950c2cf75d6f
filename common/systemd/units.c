/* SPDX-License-Identifier: MIT */
#include "units.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "names.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define UNIT_PREFIX HL_SYSTEMD_PATH "/unit"
#define CGROUP_ROOT "/sys/fs/cgroup"

/* Replies that one sender may have outstanding are limited (dbus-daemon: 128). */
#define PIPELINE_MAX 64

static enum hl_unit_state parse_active(const char *word)
{
        if (strcmp(word, "active") == 0 || strcmp(word, "reloading") == 0 || strcmp(word, "refreshing") == 0)
                return HL_UNIT_ACTIVE;
        if (strcmp(word, "activating") == 0)
                return HL_UNIT_STARTING;
        if (strcmp(word, "deactivating") == 0)
                return HL_UNIT_STOPPING;
        return strcmp(word, "failed") == 0 ? HL_UNIT_FAILED : HL_UNIT_INACTIVE;
}

/* Reads ListUnitsByNames' reply. systemd answers in its own order, and with a unit's id
 * where an alias was asked, so each line looks for its name from where the last was found. */
static int read_states(sd_bus_message *reply, const char *const *names, size_t count, enum hl_unit_state *states)
{
        const char *name, *active;
        size_t next = 0;
        int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, &active, NULL, NULL, NULL,
                                                  NULL, NULL, NULL)) > 0) {
                for (size_t i = 0; i < count; i++, next++)
                        if (strcmp(names[next % count], name) == 0) {
                                states[next++ % count] = parse_active(active);
                                break;
                        }
        }
        return r < 0 ? r : 0;
}

int hl_units_states(struct hl_bus *bus, const char *const *names, size_t count, enum hl_unit_state *ret_states,
                    struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *call = NULL;
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        if (count == 0)
                return 0;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_call(bus->bus, &call, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER,
                                           "ListUnitsByNames");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "s");
        for (size_t i = 0; r >= 0 && i < count; i++)
                r = sd_bus_message_append(call, "s", names[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        bus->calls++;
        if (r >= 0)
                r = sd_bus_call(bus->bus, call, 0, &error, &reply);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking systemd for the states of units");

        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc(count * sizeof(*states));
        r = read_states(reply, names, count, states);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "reading systemd's answer");
        memcpy(ret_states, states, count * sizeof(*states));
        return 0;
}

int hl_units_each_loaded(struct hl_bus *bus, const char *pattern, hl_unit_fn *each, void *data, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name, *active, *sub;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        bus->calls++;
        r = sd_bus_call_method(bus->bus, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER, "ListUnitsByPatterns", &error,
                               &reply, "asas", 0, 1, pattern);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, &active, &sub, NULL, NULL,
                                                  NULL, NULL, NULL)) > 0)
                each(data, name, parse_active(active), sub);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd what is loaded") : 0;
}

int hl_unit_state_of(struct hl_bus *bus, const char *name, enum hl_unit_state *ret_state, struct hl_err *err)
{
        return hl_units_states(bus, &name, 1, ret_state, err);
}

/* Of no published interface, so never the last word: a link that systemd makes anew at each start of a unit, for
 * journald. */
#define STARTED_DIRECTORY "/run/systemd/units"

const char *hl_unit_start_folder(void)
{
        return hl_folder("HL_STARTED_DIRECTORY", STARTED_DIRECTORY);
}

uint64_t hl_unit_start_hint(const char *name)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/invocation:%s", hl_unit_start_folder(), name);
        struct stat status;
        if (lstat(path, &status) < 0)
                return 0;
        return hl_timespec_us(status.st_mtim);
}

struct since {
        uint64_t us;
        size_t *outstanding;
        int *result;
};

static int on_since(sd_bus_message *reply, void *data, sd_bus_error *ret_error)
{
        (void)ret_error;
        struct since *since = data;
        --*since->outstanding;
        if (sd_bus_message_is_method_error(reply, NULL)) {
                *since->result = -sd_bus_message_get_errno(reply);
                return 0;
        }
        int r = sd_bus_message_read(reply, "v", "t", &since->us);
        if (r < 0)
                *since->result = r;
        return 0;
}

/* Lets the bus work until at most `limit` calls are outstanding; each times out by itself. */
static int drain(sd_bus *bus, const size_t *outstanding, size_t limit)
{
        while (*outstanding > limit) {
                int r = sd_bus_process(bus, NULL);
                if (r == 0 && *outstanding > limit) /* it says 0 also where a call has just timed out */
                        r = sd_bus_wait(bus, HL_BUS_CALL_TIMEOUT_US);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* One property of each unit, an instant. */
static int ask_instants(struct hl_bus *bus, const char *property, const char *const *names, size_t count,
                        uint64_t *ret_monotonic_us, struct hl_err *err)
{
        if (count == 0)
                return 0;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;

        size_t outstanding = 0;
        int result = 0;
        HL_CLEANUP(hl_free_pointer) struct since *items = hl_alloc(count * sizeof(*items));
        for (size_t i = 0; r >= 0 && i < count; i++) {
                HL_CLEANUP(hl_free_pointer) char *path = NULL;
                items[i] = (struct since){ .outstanding = &outstanding, .result = &result };
                r = sd_bus_path_encode(UNIT_PREFIX, names[i], &path);
                if (r < 0)
                        break;
                bus->calls++;
                r = sd_bus_call_method_async(bus->bus, NULL, HL_SYSTEMD, path, HL_BUS_PROPERTIES, "Get", on_since,
                                             &items[i], "ss", HL_SYSTEMD_UNIT, property);
                if (r >= 0) {
                        outstanding++;
                        r = drain(bus->bus, &outstanding, PIPELINE_MAX - 1);
                }
        }
        /* The callbacks point into items: a connection with calls outstanding is not used again. */
        int drained = drain(bus->bus, &outstanding, 0);
        if (drained < 0)
                hl_bus_free(bus);
        r = r < 0 ? r : drained < 0 ? drained : result;
        if (r < 0)
                return hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "asking systemd since when models run");
        for (size_t i = 0; i < count; i++)
                ret_monotonic_us[i] = items[i].us;
        return 0;
}

int hl_units_active_since(struct hl_bus *bus, const char *const *names, size_t count, uint64_t *ret_monotonic_us,
                          struct hl_err *err)
{
        return ask_instants(bus, "ActiveEnterTimestampMonotonic", names, count, ret_monotonic_us, err);
}

int hl_units_begun_at(struct hl_bus *bus, const char *const *names, size_t count, uint64_t *ret_monotonic_us,
                      struct hl_err *err)
{
        return ask_instants(bus, "InactiveExitTimestampMonotonic", names, count, ret_monotonic_us, err);
}

/* The kernel's number of a control group is its folder's inode. */
static uint64_t number_of(const char *group)
{
        HL_CLEANUP(hl_free_pointer) char *folder = hl_format(CGROUP_ROOT "%s", group);
        struct stat status;
        return *group && stat(folder, &status) == 0 ? status.st_ino : 0;
}

/* In hexadecimal digits; none, where there was no start that systemd remembers. */
static int read_invocation(sd_bus_message *reply, char invocation[HL_UNIT_INVOCATION_SIZE])
{
        const void *bytes;
        size_t size = 0;
        int r = sd_bus_message_enter_container(reply, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &bytes, &size);
        for (size_t i = 0; r >= 0 && size == HL_UNIT_INVOCATION_SIZE / 2 && i < size; i++)
                snprintf(invocation + 2 * i, 3, "%02x", ((const unsigned char *)bytes)[i]);
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* The properties that a detail is made of, beside InvocationID. */
static const struct {
        const char *name, *type;
        size_t at; /* in the detail; of a text set_text() knows the place */
} properties[] = {
        { "ActiveState", "s", 0 },
        { "LoadState", "s", 0 },
        { "Result", "s", 0 },
        { "ControlGroup", "s", 0 },
        { "StateChangeTimestamp", "t", offsetof(struct hl_unit_detail, since_us) },
        { "ActiveEnterTimestampMonotonic", "t", offsetof(struct hl_unit_detail, active_since_monotonic_us) },
        { "MemoryCurrent", "t", offsetof(struct hl_unit_detail, memory_bytes) },
        { "CPUUsageNSec", "t", offsetof(struct hl_unit_detail, cpu_ns) },
        { "MainPID", "u", offsetof(struct hl_unit_detail, main_pid) },
        { "NRestarts", "u", offsetof(struct hl_unit_detail, restarts) },
        { "ExecMainCode", "i", offsetof(struct hl_unit_detail, exit_code) },
        { "ExecMainStatus", "i", offsetof(struct hl_unit_detail, exit_status) },
};

static void set_text(struct hl_unit_detail *d, const char *property, const char *text)
{
        if (strcmp(property, "ActiveState") == 0)
                d->active = parse_active(text);
        else if (strcmp(property, "LoadState") == 0)
                d->found = strcmp(text, "not-found") != 0;
        else if (strcmp(property, "Result") == 0)
                hl_copy(d->result, sizeof(d->result), text);
        else
                d->cgroup = number_of(text);
}

static int read_property(sd_bus_message *reply, const char *property, struct hl_unit_detail *d)
{
        const char *text;
        if (strcmp(property, "InvocationID") == 0)
                return read_invocation(reply, d->invocation);
        for (size_t i = 0; i < HL_COUNT(properties); i++) {
                if (strcmp(property, properties[i].name) != 0)
                        continue;
                if (*properties[i].type != 's')
                        return sd_bus_message_read(reply, "v", properties[i].type, (char *)d + properties[i].at);
                int r = sd_bus_message_read(reply, "v", "s", &text);
                if (r >= 0)
                        set_text(d, property, text);
                return r;
        }
        return sd_bus_message_skip(reply, "v");
}

static int read_detail(sd_bus_message *reply, struct hl_unit_detail *detail)
{
        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                const char *property;
                r = sd_bus_message_read(reply, "s", &property);
                if (r >= 0)
                        r = read_property(reply, property, detail);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r;
}

/* The object of a unit, for one call. */
static int open_unit(struct hl_bus *bus, const char *name, char **ret_path, struct hl_err *err)
{
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        bus->calls++;
        r = sd_bus_path_encode(UNIT_PREFIX, name, ret_path);
        return r < 0 ? hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, name) : 0;
}

int hl_units_detail(struct hl_bus *bus, const char *name, struct hl_unit_detail *ret_detail, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        HL_CLEANUP(hl_free_pointer) char *what = hl_format("asking systemd about %s", name);
        struct hl_unit_detail detail = { .found = true, .memory_bytes = HL_UNIT_UNKNOWN, .cpu_ns = HL_UNIT_UNKNOWN };
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        /* The empty interface name asks for the properties of all of them: one call instead of two. */
        r = sd_bus_call_method(bus->bus, HL_SYSTEMD, path, HL_BUS_PROPERTIES, "GetAll", &error, &reply, "s", "");
        if (r >= 0)
                r = read_detail(reply, &detail);
        if (r < 0)
                return hl_bus_fail(err, r, &error, what);
        *ret_detail = detail;
        return 0;
}

static int read_addresses(sd_bus_message *reply, struct hl_buf *out)
{
        const char *kind, *address;
        int r = sd_bus_message_enter_container(reply, 'a', "(ss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &kind, &address)) > 0)
                hl_buf_addf(out, "%s%s", out->len ? ", " : "", address);
        return r;
}

int hl_socket_addresses(struct hl_bus *bus, const char *name, struct hl_buf *out, struct hl_err *err)
{
        HL_CLEANUP(hl_bus_free_message) sd_bus_message *reply = NULL;
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        r = sd_bus_get_property(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD ".Socket", "Listen", &error, &reply, "a(ss)");
        if (r >= 0)
                r = read_addresses(reply, out);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd where a socket listens") : 0;
}

int hl_units_timer_next(struct hl_bus *bus, const char *name, uint64_t *ret_monotonic_us, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        r = sd_bus_get_property_trivial(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD ".Timer", "NextElapseUSecMonotonic",
                                        &error, 't', ret_monotonic_us);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd for a timer") : 0;
}

int hl_units_cgroup(struct hl_bus *bus, const char *name, uint64_t *ret_cgroup, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        HL_CLEANUP(hl_free_pointer) char *group = NULL;
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        r = sd_bus_get_property_string(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD_SERVICE, "ControlGroup", &error, &group);
        if (r < 0)
                return hl_bus_fail(err, r, &error, "asking systemd for a control group");
        *ret_cgroup = number_of(group);
        return 0;
}

int hl_units_exit_status(struct hl_bus *bus, const char *name, int *ret_status, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        r = sd_bus_get_property_trivial(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD_SERVICE, "ExecMainStatus", &error, 'i',
                                        ret_status);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd how a unit ended") : 0;
}

int hl_units_status_text(struct hl_bus *bus, const char *name, char **ret_text, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        HL_CLEANUP(hl_free_pointer) char *path = NULL;
        int r = open_unit(bus, name, &path, err);
        if (r < 0)
                return r;
        r = sd_bus_get_property_string(bus->bus, HL_SYSTEMD, path, HL_SYSTEMD_SERVICE, "StatusText", &error, ret_text);
        return r < 0 ? hl_bus_fail(err, r, &error, "asking systemd what a unit says of itself") : 0;
}

char *hl_units_describe(const struct hl_unit_detail *d)
{
        if (!d->found)
                return hl_strdup("there is no such unit");
        if (strcmp(d->result, "exit-code") == 0 && d->exit_code != 0)
                return hl_format("exit-code, status %d", d->exit_status);
        if (d->exit_code == CLD_KILLED || d->exit_code == CLD_DUMPED)
                return hl_format("%s, signal %d", d->result, d->exit_status);
        return hl_strdup(d->result);
}

int hl_fail_unit_ended(struct hl_bus *bus, const char *name, struct hl_err *err)
{
        struct hl_unit_detail detail;
        int r = hl_units_detail(bus, name, &detail, err);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) char *why = hl_units_describe(&detail);
        return hl_fail(err, HL_ERR_UPSTREAM, EIO, "start_failed",
                       "%s ended before it was ready: %s; \"journalctl -u %s\" says why", name, why, name);
}
