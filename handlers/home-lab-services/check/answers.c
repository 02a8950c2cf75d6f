/* SPDX-License-Identifier: MIT */
/* What stands in its place and gives no answer: a logind that is off the bus, a socket whose file is gone, a folder
 * that nothing can be written to. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "check.h"
#include "config/config.h"
#include "home-lab-services/product.h"
#include "parts.h"
#include "systemd/shutdown.h"
#include "systemd/units.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static void check_logind(struct hl_check *c)
{
        struct hl_shutdown shutdown;
        struct hl_err err = { 0 };
        if (hl_shutdown_get(&c->bus, &shutdown, &err) < 0)
                hl_check_problem(c, "%s; no shutdown can be scheduled or seen: systemctl restart systemd-logind",
                                 err.message);
}

static void check_polkitd(struct hl_check *c)
{
        struct hl_err err = { 0 };
        unsigned version;
        if (hl_bus_polkit_version(&c->bus, &version, &err) < 0)
                hl_check_problem(c,
                                 "polkit does not answer (%s), so no model can be started or stopped: systemctl "
                                 "restart polkit",
                                 err.message);
}

/* A unix socket is open for systemd also where its file is gone; but nobody finds it. */
static void check_socket_file(struct hl_check *c, const char *unit)
{
        struct hl_buf addresses = { 0 };
        struct hl_err ignored = { 0 };
        struct stat status;
        if (hl_socket_addresses(&c->bus, unit, &addresses, &ignored) == 0 && addresses.data && *addresses.data == '/' &&
            lstat(addresses.data, &status) < 0)
                hl_check_problem(c, "%s: its file %s is gone, so NGINX cannot reach it: systemctl restart %s", unit,
                                 addresses.data, unit);
        hl_buf_free(&addresses);
}

static void check_socket_files(struct hl_check *c)
{
        enum hl_unit_state states[HL_PRODUCT_UNITS];
        struct hl_err ignored = { 0 };
        if (hl_product_states(&c->bus, states, &ignored) < 0)
                return;
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++)
                if (states[i] == HL_UNIT_ACTIVE && strstr(hl_product_units[i].unit, ".socket") &&
                    hl_product_units[i].port == 0)
                        check_socket_file(c, hl_product_units[i].unit);
}

static void check_writable(struct hl_check *c)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/activity", hl_state_dir());
        struct statvfs fs;
        if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY))
                hl_check_problem(c,
                                 "%s is on a file system that is mounted read-only, so no use of a model is noted, and "
                                 "no idle one is stopped: mount -o remount,rw it",
                                 path);
}

void hl_check_answers(struct hl_check *c)
{
        unsigned before = hl_check_total(c);
        c->cause = CAUSE_BUS;
        check_logind(c);
        check_polkitd(c);
        check_socket_files(c);
        check_writable(c);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "logind and polkit answer, and the sockets for NGINX are in their places");
}
