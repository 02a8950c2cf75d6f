/* SPDX-License-Identifier: MIT */
#include "socket_file.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "units.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define SOCKETS_FOLDER "/run/home-lab-services"

/* Where our units have it, and NGINX looks for it: a drop-in may say otherwise. */
static bool is_in_its_place(const char *unit)
{
        const char *end = strstr(unit, "-fastcgi.socket");
        end = end ? end : strstr(unit, ".socket");
        const char *folder = hl_folder("HL_SOCKETS_DIRECTORY", SOCKETS_FOLDER);
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%.*s.sock", folder, (int)(end - unit), unit);
        struct stat status;
        return lstat(path, &status) == 0;
}

int hl_socket_file_check(struct hl_bus *bus, const char *unit, struct hl_err *err)
{
        enum hl_unit_state active = HL_UNIT_INACTIVE;
        HL_CLEANUP(hl_buf_free) struct hl_buf addresses = { 0 };
        struct stat status;
        if (is_in_its_place(unit)) /* which costs a connection less than what it would ask */
                return 0;
        int r = hl_socket_addresses(bus, unit, &addresses, err);
        if (r < 0 || addresses.len == 0 || *addresses.data != '/' || lstat(addresses.data, &status) == 0)
                return r;
        /* Only now, as nobody waits for this where all is well. */
        r = hl_unit_state_of(bus, unit, &active, err);
        if (r < 0 || active != HL_UNIT_ACTIVE)
                return r;
        return hl_fail(err, HL_ERR_BUSY, ENOENT, "unhealthy",
                       "%s: its file %s is gone, so NGINX cannot reach it: systemctl restart %s", unit, addresses.data,
                       unit);
}
