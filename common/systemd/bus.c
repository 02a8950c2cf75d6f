/* SPDX-License-Identifier: MIT */
#include "bus.h"

#include "base/err.h"
#include "base/mem.h"
#include "names.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void hl_bus_free(struct hl_bus *bus)
{
        bus->bus = sd_bus_flush_close_unref(bus->bus);
}

void hl_bus_free_message(sd_bus_message **message)
{
        sd_bus_message_unref(*message);
}

/* A peer on a socketpair is no bus: no Hello, no names. */
static int open_fd(int fd, sd_bus **ret_bus)
{
        sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret_bus = bus;
        return 0;
}

/* Whether the bus has hung up: it was restarted, perhaps. What was told before that is of no use any more. */
static bool has_hung_up(sd_bus *bus)
{
        struct pollfd peer = { .fd = sd_bus_get_fd(bus) };
        return sd_bus_is_open(bus) <= 0 || (poll(&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLERR)));
}

int hl_bus_open(struct hl_bus *bus, struct hl_err *err)
{
        /* A loop sees that by itself, and a test's has no other. */
        if (bus->bus && bus->fd < 0 && !sd_bus_get_event(bus->bus) && has_hung_up(bus->bus))
                hl_bus_free(bus);
        if (bus->bus)
                return 0;
        int r = bus->fd >= 0 ? open_fd(bus->fd, &bus->bus) : sd_bus_open_system(&bus->bus);
        if (r < 0)
                return hl_fail(err, HL_ERR_BUSY, -r, "bus_unavailable", "the system bus cannot be reached: %s",
                               strerror(-r));
        sd_bus_set_method_call_timeout(bus->bus, HL_BUS_CALL_TIMEOUT_US);
        return 0;
}

int hl_bus_fail(struct hl_err *err, int r, const sd_bus_error *error, const char *what)
{
        const char *name = error->name ? error->name : "", *text = error->message ? error->message : strerror(-r);
        if (strcmp(name, HL_SYSTEMD ".NoSuchUnit") == 0 || strcmp(name, HL_SYSTEMD ".UnitMasked") == 0 ||
            strcmp(name, HL_SYSTEMD ".LoadFailed") == 0 || strcmp(name, HL_SYSTEMD ".BadUnitSetting") == 0 ||
            strcmp(name, SD_BUS_ERROR_FILE_EXISTS) == 0 ||
            (strcmp(name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0 && !strstr(text, HL_SYSTEMD))) /* it may execute itself */
                return hl_fail(err, HL_ERR_UPSTREAM, ENOENT, "unit_unusable", "%s failed: %s", what, text);
        /* A hung polkitd or PID 1: a later try may help. */
        if (r == -ETIMEDOUT || r == -ECONNRESET || r == -ENOTCONN || strcmp(name, SD_BUS_ERROR_NO_REPLY) == 0 ||
            strcmp(name, SD_BUS_ERROR_TIMEOUT) == 0 || strcmp(name, SD_BUS_ERROR_LIMITS_EXCEEDED) == 0)
                return hl_fail(err, HL_ERR_BUSY, r < 0 ? -r : ETIMEDOUT, "bus_busy", "%s failed: %s", what, text);
        /* A refusal by polkit is the installation's fault, never the client's. */
        return hl_fail(err, HL_ERR_INTERNAL, r < 0 ? -r : EIO, "internal_error", "%s failed: %s (%s)", what, text,
                       name);
}

int hl_fail_client_left(struct hl_err *err, const char *unit)
{
        return hl_fail(err, HL_ERR_CANCELLED, ECANCELED, "client_left",
                       "the client has left; what it asked of %s goes on", unit);
}

struct versioned {
        const char *who, *name, *path, *interface, *property;
};

/* Its number is the first one in what it says: "122", or "0.105" of old; "252.39-1~deb12u1", or "v256-rc1". */
static int read_version(struct hl_bus *bus, const struct versioned *v, unsigned *ret_version, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *version = NULL;
        HL_CLEANUP(hl_free_pointer) char *what = hl_format("asking %s for its version", v->who);
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = hl_bus_open(bus, err);
        if (r < 0)
                return r;
        bus->calls++;
        r = sd_bus_get_property_string(bus->bus, v->name, v->path, v->interface, v->property, &error, &version);
        if (r < 0)
                return hl_bus_fail(err, r, &error, what);
        *ret_version = (unsigned)strtoul(version + strcspn(version, "0123456789"), NULL, 10);
        return 0;
}

int hl_bus_polkit_version(struct hl_bus *bus, unsigned *ret_version, struct hl_err *err)
{
        static const struct versioned polkit = { "polkit", HL_POLKIT, HL_POLKIT_PATH, HL_POLKIT_AUTHORITY,
                                                 "BackendVersion" };
        return read_version(bus, &polkit, ret_version, err);
}

int hl_bus_systemd_version(struct hl_bus *bus, unsigned *ret_version, struct hl_err *err)
{
        static const struct versioned systemd = { "systemd", HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER,
                                                  "Version" };
        return read_version(bus, &systemd, ret_version, err);
}
