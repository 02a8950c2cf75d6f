/* SPDX-License-Identifier: MIT */
#include "gone.h"

#include "base/str.h"
#include "queue.h"
#include "systemd/units.h"

#include <ctype.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MARK "invocation:"

int hl_gone_watch(void)
{
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0)
                return -1;
        inotify_add_watch(fd, hl_unit_start_folder(), IN_DELETE | IN_ONLYDIR);
        inotify_add_watch(fd, hl_queue_folder(), IN_DELETE | IN_ONLYDIR);
        return fd;
}

/* The other marks are of services that come and go with each request. */
static bool is_of_interest(const char *name, const char *unit)
{
        size_t template = strcspn(unit, "@");
        if (!hl_has_prefix(name, MARK))
                return isdigit((unsigned char)*name); /* a ticket; systemd has marks of other kinds, too */
        return unit[template] == '\0' || strncmp(name + strlen(MARK), unit, template + 1) == 0;
}

bool hl_gone_heard(int fd, const char *unit)
{
        _Alignas(struct inotify_event) char bytes[4096];
        bool heard = false;
        ssize_t len;
        while (fd >= 0 && (len = read(fd, bytes, sizeof(bytes))) > 0) {
                for (const char *next = bytes; next < bytes + len;) {
                        const struct inotify_event *event = (const struct inotify_event *)(const void *)next;
                        heard |= event->len > 0 && is_of_interest(event->name, unit);
                        next += sizeof(*event) + event->len;
                }
        }
        return heard;
}
