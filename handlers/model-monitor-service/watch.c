/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/queue.h"
#include "systemd/names.h"
#include "systemd/shutdown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define UNITS HL_SYSTEMD_PATH "/unit"
#define MATCH                                                                                                          \
        "type='signal',sender='" HL_SYSTEMD "',path_namespace='" UNITS "',interface='" HL_BUS_PROPERTIES               \
        "',member='PropertiesChanged',arg0='" HL_SYSTEMD_UNIT "'"
#define FILES (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)
#define TICKETS (IN_CREATE | IN_DELETE | IN_ONLYDIR) /* not what a look at them does */
#define SHUTDOWN_PARENT "/run/systemd"               /* there before the first shutdown was scheduled */

static int on_changed(sd_bus_message *message, void *data, sd_bus_error *ret_error)
{
        (void)ret_error;
        struct monitor_watch *watch = data;
        if (hl_has_prefix(sd_bus_message_get_path(message), watch->units))
                watch->models = watch->room = true;
        return 0;
}

/* "model@*.service" is "/org/freedesktop/systemd1/unit/model_40" to the bus. */
static int find_units(const struct hl_config *config, char **ret_units)
{
        HL_CLEANUP(hl_free_pointer) char *pattern = hl_config_units_pattern(config);
        pattern[strcspn(pattern, "*")] = '\0';
        if (*pattern)
                return sd_bus_path_encode(UNITS, pattern, ret_units);
        *ret_units = hl_strdup(UNITS);
        return 0;
}

static int listen_to_systemd(struct monitor_watch *watch, struct hl_err *err)
{
        HL_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = hl_bus_open(&watch->bus, err);
        if (r < 0)
                return r;
        watch->bus.calls++;
        r = sd_bus_add_match(watch->bus.bus, &watch->slot, MATCH, on_changed, watch);
        if (r >= 0)
                r = sd_bus_call_method(watch->bus.bus, HL_SYSTEMD, HL_SYSTEMD_PATH, HL_SYSTEMD_MANAGER, "Subscribe",
                                       &error, NULL, "");
        return r < 0 ? hl_bus_fail(err, r, &error, "listening to systemd") : 0;
}

/* The folder is made with the first schedule. */
static void watch_shutdown(struct monitor_watch *watch)
{
        int wd = inotify_add_watch(watch->inotify_fd, HL_SHUTDOWN_FOLDER, FILES);
        if (wd < 0 && watch->shutdown_wd < 0)
                wd = inotify_add_watch(watch->inotify_fd, SHUTDOWN_PARENT, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
        if (wd >= 0)
                watch->shutdown_wd = wd;
}

static int add_fd(const struct monitor_watch *watch, int fd)
{
        struct epoll_event event = { .events = EPOLLIN };
        return epoll_ctl(watch->fd, EPOLL_CTL_ADD, fd, &event);
}

int monitor_watch_open(struct monitor_watch *watch, const struct hl_config *config, struct hl_err *err)
{
        *watch = MONITOR_WATCH_INIT;
        watch->models_wd = watch->room_wd = watch->shutdown_wd = -1;
        int r = find_units(config, &watch->units);
        if (r < 0)
                return hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "naming the models' units");
        r = listen_to_systemd(watch, err);
        if (r < 0)
                return r;
        watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        watch->fd = epoll_create1(EPOLL_CLOEXEC);
        if (watch->inotify_fd < 0 || watch->fd < 0 || add_fd(watch, watch->inotify_fd) < 0 ||
            add_fd(watch, sd_bus_get_fd(watch->bus.bus)) < 0)
                return hl_fail(err, HL_ERR_INTERNAL, errno, "internal_error", "watching for changes: %m");
        watch->models_wd = inotify_add_watch(watch->inotify_fd, config->models_dir, FILES);
        watch->room_wd = inotify_add_watch(watch->inotify_fd, HL_QUEUE_FOLDER, TICKETS);
        watch_shutdown(watch);
        return 0;
}

void monitor_watch_close(struct monitor_watch *watch)
{
        hl_close_fd(&watch->fd);
        hl_close_fd(&watch->inotify_fd);
        sd_bus_slot_unref(hl_steal(watch->slot));
        hl_bus_free(&watch->bus);
        free(hl_steal(watch->units));
}

static void note_file(struct monitor_watch *watch, const struct inotify_event *event)
{
        bool is_lost = event->mask & IN_Q_OVERFLOW;
        bool is_model = is_lost || event->wd == watch->models_wd;
        watch->models = watch->models || is_model;
        watch->room = watch->room || is_model || event->wd == watch->room_wd;
        if (is_lost || event->wd == watch->shutdown_wd) {
                watch->shutdown = true;
                watch_shutdown(watch);
        }
}

static void take_in_files(struct monitor_watch *watch)
{
        _Alignas(struct inotify_event) char bytes[4096];
        ssize_t len;
        while ((len = read(watch->inotify_fd, bytes, sizeof(bytes))) > 0)
                for (const char *at = bytes; at < bytes + len;) {
                        const struct inotify_event *event = (const void *)at;
                        note_file(watch, event);
                        at += sizeof(*event) + event->len;
                }
}

int monitor_watch_take_in(struct monitor_watch *watch, struct hl_err *err)
{
        int r;
        take_in_files(watch);
        do
                r = sd_bus_process(watch->bus.bus, NULL);
        while (r > 0);
        return r < 0 ? hl_bus_fail(err, r, &SD_BUS_ERROR_NULL, "listening to systemd") : 0;
}
