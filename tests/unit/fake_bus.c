/* SPDX-License-Identifier: MIT */
#include "fake_bus.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"

static int on_message(sd_bus_message *message, void *data, sd_bus_error *ret_error)
{
        struct fake_bus *fake = data;
        const char *member = sd_bus_message_get_member(message);
        if (!sd_bus_message_is_method_call(message, NULL, NULL))
                return 0;
        hl_buf_addf(&fake->log, "%s\n", member);
        int r = fake->answer(fake, message, member);
        if (r < 0 && !fake->hang_up)
                sd_bus_error_set_errno(ret_error, r);
        return r < 0 ? r : 1;
}

static void *serve(void *data)
{
        struct fake_bus *fake = data;
        sd_id128_t id;
        must(sd_id128_randomize(&id) >= 0 && sd_bus_new(&fake->bus) >= 0 &&
             sd_bus_set_fd(fake->bus, fake->fd, fake->fd) >= 0 && sd_bus_set_server(fake->bus, 1, id) >= 0 &&
             sd_bus_add_filter(fake->bus, NULL, on_message, fake) >= 0);
        int r = sd_bus_start(fake->bus); /* fails where the client never wanted the bus, and has left */
        while (r >= 0 && !fake->hang_up) {
                r = sd_bus_process(fake->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(fake->bus, UINT64_MAX);
        }
        sd_bus_flush_close_unref(fake->bus);
        return NULL;
}

void fake_start(struct fake_bus *fake, fake_answer_fn *answer, void *data, struct hl_bus *ret_bus)
{
        int fds[2];
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        *fake = (struct fake_bus){ .answer = answer, .data = data, .fd = fds[0] };
        *ret_bus = HL_BUS_INIT;
        ret_bus->fd = fds[1];
        must(pthread_create(&fake->thread, NULL, serve, fake) == 0);
}

void fake_stop(struct fake_bus *fake, struct hl_bus *bus)
{
        if (!bus->bus && bus->calls == 0) /* nobody used it */
                close(bus->fd);
        hl_bus_free(bus);
        must(pthread_join(fake->thread, NULL) == 0);
        hl_buf_free(&fake->log);
}

unsigned fake_count(const struct fake_bus *fake, const char *member)
{
        unsigned count = 0;
        char *line = hl_format("%s\n", member);
        for (const char *c = fake->log.data; c && *c; c = strchr(c, '\n') + 1)
                count += hl_has_prefix(c, line);
        free(line);
        return count;
}

int fake_refuse(sd_bus_message *call, const char *error)
{
        return sd_bus_reply_method_errorf(call, error, "the fake says %s", error);
}

/* The STATE of "model@STATE-17.service"; static. */
static const char *state_of(const char *unit)
{
        static const char *const states[] = { "active",    "activating", "deactivating", "failed",
                                              "reloading", "refreshing", "maintenance" };
        const char *instance = strchr(unit, '@');
        for (size_t i = 0; instance && i < HL_COUNT(states); i++)
                if (strncmp(instance + 1, states[i], strlen(states[i])) == 0 && instance[1 + strlen(states[i])] == '-')
                        return states[i];
        return "inactive";
}

static uint64_t since_of(const char *unit)
{
        const char *number = strchr(unit, '-');
        return number ? strtoull(number + 1, NULL, 10) * 1000000 : 0;
}

static int list_units(struct fake_bus *fake, sd_bus_message *call)
{
        struct fake_systemd *s = fake->data;
        char **names = NULL;
        sd_bus_message *reply = NULL;
        size_t count = 0;
        s->lists++;
        if (s->list_error && (s->list_error_at == 0 || s->list_error_at == s->lists))
                return fake_refuse(call, s->list_error);
        must(sd_bus_message_read_strv(call, &names) >= 0 && sd_bus_message_new_method_return(call, &reply) >= 0 &&
             sd_bus_message_open_container(reply, 'a', "(ssssssouso)") >= 0);
        while (names && names[count])
                count++;
        for (size_t i = count; i-- > 0;) { /* in an order of its own */
                const char *state = s->list_fails_after == 0          ? state_of(names[i])
                                    : s->lists <= s->list_fails_after ? "active"
                                    : s->list_stops                   ? "inactive"
                                                                      : "failed";
                must(sd_bus_message_append(reply, "(ssssssouso)", names[i], "a unit", "loaded", state, "sub", "",
                                           SYSTEMD_PATH "/unit/x", 0, "", "/") >= 0);
                free(names[i]);
        }
        free(names);
        must(sd_bus_message_close_container(reply) >= 0);
        int r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static void free_words(char **words)
{
        for (size_t i = 0; words && words[i]; i++)
                free(words[i]);
        free(words);
}

static int list_by_pattern(struct fake_systemd *s, sd_bus_message *call)
{
        char **states = NULL, **patterns = NULL;
        sd_bus_message *reply = NULL;
        if (s->list_error)
                return fake_refuse(call, s->list_error);
        must(sd_bus_message_read_strv(call, &states) >= 0 && sd_bus_message_read_strv(call, &patterns) >= 0 &&
             sd_bus_message_new_method_return(call, &reply) >= 0 &&
             sd_bus_message_open_container(reply, 'a', "(ssssssouso)") >= 0);
        must(!states || !states[0]);
        const char *const named[] = { patterns[0], NULL }, *const *loaded = s->loaded ? s->loaded : named;
        for (size_t i = 0; loaded[i]; i++)
                if (fnmatch(patterns[0], loaded[i], FNM_NOESCAPE) == 0)
                        must(sd_bus_message_append(reply, "(ssssssouso)", loaded[i], "a unit", "loaded",
                                                   state_of(loaded[i]), s->sub_state ? s->sub_state : "sub", "",
                                                   SYSTEMD_PATH "/unit/x", 0, "", "/") >= 0);
        free_words(states);
        free_words(patterns);
        must(sd_bus_message_close_container(reply) >= 0);
        int r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int get_all(struct fake_systemd *s, sd_bus_message *call, const char *unit)
{
        sd_bus_message *reply = NULL;
        must(sd_bus_message_new_method_return(call, &reply) >= 0);
        must(sd_bus_message_append(
                     reply, "a{sv}", 14, "Id", "s", unit, "ControlGroup", "s", s->control_group ? s->control_group : "",
                     "ActiveState", "s", s->state_after ? s->state_after : state_of(unit), "LoadState", "s",
                     s->load_state ? s->load_state : "loaded", "Result", "s", s->result ? s->result : "success",
                     "StateChangeTimestamp", "t", UINT64_C(5000), "ActiveEnterTimestampMonotonic", "t", since_of(unit),
                     "MemoryCurrent", "t", UINT64_C(4096), "CPUUsageNSec", "t", UINT64_MAX, "MainPID", "u", 812u,
                     "NRestarts", "u", 2u, "ExecMainCode", "i", s->exit_code, "ExecMainStatus", "i", s->exit_status,
                     "Names", "as", 1, unit) >= 0);
        int r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static void job_removed(sd_bus *bus, const char *path, const char *result)
{
        sd_bus_message *signal = NULL;
        must(sd_bus_message_new_signal(bus, &signal, SYSTEMD_PATH, MANAGER, "JobRemoved") >= 0 &&
             sd_bus_message_set_sender(signal, SYSTEMD) >= 0 &&
             sd_bus_message_append(signal, "uoss", 17, path, "model@x.service", result) >= 0 &&
             sd_bus_send(bus, signal, NULL) >= 0);
        sd_bus_message_unref(signal);
}

static int start_job(struct fake_bus *fake, sd_bus_message *call)
{
        struct fake_systemd *s = fake->data;
        if (s->hang_up) {
                fake->hang_up = true;
                return -ECONNRESET;
        }
        if (s->silent)
                return 0;
        job_removed(fake->bus, SYSTEMD_PATH "/job/16", "failed"); /* somebody else's job is none of ours */
        if (s->refusal)
                return fake_refuse(call, s->refusal);
        char path[sizeof(SYSTEMD_PATH) + 32];
        snprintf(path, sizeof(path), SYSTEMD_PATH "/job/%u", 17 + s->jobs++);
        if (s->job_result && s->early)
                job_removed(fake->bus, path, s->job_result);
        int r = sd_bus_reply_method_return(call, "o", path);
        if (s->job_result && !s->early)
                job_removed(fake->bus, path, s->job_result);
        return r;
}

static int get(struct fake_systemd *s, sd_bus_message *call, const char *unit)
{
        const char *interface, *property;
        must(sd_bus_message_read(call, "ss", &interface, &property) >= 0);
        if (strcmp(property, "ControlGroup") == 0)
                return sd_bus_reply_method_return(call, "v", "s", s->control_group ? s->control_group : "");
        if (strcmp(property, "StatusText") == 0)
                return sd_bus_reply_method_return(call, "v", "s", s->status_text ? s->status_text : "");
        if (strcmp(property, "ExecMainStatus") == 0)
                return sd_bus_reply_method_return(call, "v", "i", s->exit_status);
        return sd_bus_reply_method_return(call, "v", "t", since_of(unit));
}

int fake_systemd_answer(struct fake_bus *fake, sd_bus_message *call, const char *member)
{
        struct fake_systemd *s = fake->data;
        if (strcmp(member, "ListUnitsByNames") == 0)
                return list_units(fake, call);
        if (strcmp(member, "ListUnitsByPatterns") == 0)
                return list_by_pattern(s, call);
        if (strcmp(member, "StartUnit") == 0 || strcmp(member, "StopUnit") == 0 || strcmp(member, "RestartUnit") == 0 ||
            strcmp(member, "ReloadUnit") == 0)
                return start_job(fake, call);

        char *unit = NULL;
        must(sd_bus_path_decode(sd_bus_message_get_path(call), SYSTEMD_PATH "/unit", &unit) > 0);
        int r = -ENOSYS;
        if (s->list_error && s->list_error_at == 0)
                r = fake_refuse(call, s->list_error);
        else if (strcmp(member, "GetAll") == 0)
                r = get_all(s, call, unit);
        else if (strcmp(member, "Get") == 0)
                r = get(s, call, unit);
        free(unit);
        return r;
}

void fake_host_start(struct fake_host *host, const struct fake_systemd *systemd)
{
        *host = (struct fake_host){ .systemd = *systemd };
        fake_start(&host->fake, fake_systemd_answer, &host->systemd, &host->bus);
}

void fake_host_stop(struct fake_host *host)
{
        fake_stop(&host->fake, &host->bus);
}

int fake_host_setup(void **state)
{
        struct fake_host *host = hl_alloc(sizeof(*host));
        fake_host_start(host, &(struct fake_systemd){ 0 });
        *state = host;
        return 0;
}

int fake_host_teardown(void **state)
{
        fake_host_stop(*state);
        free(*state);
        return 0;
}
