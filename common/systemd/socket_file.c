/* SPDX-License-Identifier: MIT */
#include "socket_file.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "units.h"

#include <errno.h>
#include <sys/stat.h>

int hl_socket_file_check(struct hl_bus *bus, const char *unit, struct hl_err *err)
{
        enum hl_unit_state active = HL_UNIT_INACTIVE;
        HL_CLEANUP(hl_buf_free) struct hl_buf addresses = { 0 };
        struct stat status;
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
