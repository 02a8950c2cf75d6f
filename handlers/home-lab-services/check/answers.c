/* SPDX-License-Identifier: MIT */
/* What stands in its place and gives no answer: a logind that is off the bus, a socket whose file is gone, a folder
 * that nothing can be written to. */
#include "base/err.h"
#include "base/mem.h"
#include "check.h"
#include "config/config.h"
#include "home-lab-services/product.h"
#include "parts.h"
#include "systemd/shutdown.h"
#include "systemd/socket_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

struct told {
        void (*each)(void *data, const char *sentence);
        void *data;
};

static void tell(const struct told *told, char *sentence)
{
        told->each(told->data, sentence);
        free(sentence);
}

static void ask_polkit(struct hl_bus *bus, const struct told *told)
{
        struct hl_err err = { 0 };
        unsigned version;
        if (hl_bus_polkit_version(bus, &version, &err) < 0)
                tell(told, hl_format("polkit does not answer (%s), so no model can be started or stopped: systemctl "
                                     "restart polkit",
                                     err.message));
}

static void look_for_socket_files(struct hl_bus *bus, const struct told *told)
{
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++) {
                struct hl_err err = { 0 };
                if (strstr(hl_product_units[i].unit, ".socket") && hl_product_units[i].port == 0 &&
                    hl_socket_file_check(bus, hl_product_units[i].unit, &err) == -ENOENT)
                        tell(told, hl_strdup(err.message));
        }
}

static void look_for_room(const struct told *told)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/activity", hl_state_dir());
        struct statvfs fs;
        if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY))
                tell(told, hl_format("%s is on a file system that is mounted read-only, so no use of a model is noted, "
                                     "and no idle one is stopped: mount -o remount,rw it",
                                     path));
}

void hl_check_silence(struct hl_bus *bus, void (*each)(void *data, const char *sentence), void *data)
{
        const struct told told = { each, data };
        ask_polkit(bus, &told);
        look_for_socket_files(bus, &told);
        look_for_room(&told);
}

static void check_logind(struct hl_check *c)
{
        struct hl_shutdown shutdown;
        struct hl_err err = { 0 };
        if (hl_shutdown_get(&c->bus, &shutdown, &err) < 0)
                hl_check_problem(c, "%s; no shutdown can be scheduled or seen: systemctl restart systemd-logind",
                                 err.message);
}

static void on_silence(void *data, const char *sentence)
{
        hl_check_problem(data, "%s", sentence);
}

void hl_check_answers(struct hl_check *c)
{
        unsigned before = hl_check_total(c);
        c->cause = CAUSE_BUS;
        check_logind(c);
        hl_check_silence(&c->bus, on_silence, c);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "logind and polkit answer, and the sockets for NGINX are in their places");
}
