/* SPDX-License-Identifier: MIT */
/* model-activity - notes which models are used, from the lines that NGINX logs as datagrams (RFC 3164's form).
 *
 * Started by model-activity.socket when a line comes; ends when none has come for a while (HL_IDLE_SECONDS in the
 * environment says for how long). A line says a model's name, behind the tag "home_lab: ", and at a request's end that
 * the model has answered it, and how long ago it began: "home_lab: tiny-llama answered 0.412". So it was ready then.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/str.h"
#include "base/version.h"
#include "config/catalog.h"
#include "models/last_use.h"
#include "models/ready_mark.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define QUIET_US (30 * HL_USEC_PER_SEC)
#define LINE_MAX_BYTES 512 /* a longer line is none of ours, and its beginning might name another model */
#define TAG "home_lab: "

/* Two lines for the same model in such a short time say no more than one. */
#define SAME_US (50 * HL_USEC_PER_MSEC)

/* Each request has two lines, and to be woken for each would cost the request more than they do. What comes meanwhile
 * is read together. */
#define TOGETHER_US (2 * HL_USEC_PER_MSEC)

struct last {
        char name[HL_MODEL_NAME_MAX + 1];
        uint64_t at_us;
        bool was_answered;
        bool is_unnoted; /* it could not be noted, and that was said */
};

/* Only what is a model becomes a file: 1, 0, or -errno where that cannot be told. */
static int find(const char *name, struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        int r = hl_config_load(NULL, &config, err);
        if (r == 0)
                r = hl_catalog_load(&config, name, NULL, &catalog, err);
        return r < 0 ? r : catalog.count == 1;
}

/* A use is noted also while the configuration or the models cannot be read: else a model would be stopped too early
 * later. ready_us: CLOCK_MONOTONIC; 0: nothing is known of that. */
static void note(struct last *last, const char *name, uint64_t ready_us)
{
        uint64_t now_us = hl_clock_monotonic();
        if (strcmp(last->name, name) == 0 && now_us - last->at_us < SAME_US && (!ready_us || last->was_answered))
                return;
        struct hl_err err = { 0 };
        if (find(name, &err) <= 0) {
                hl_last_use_record_known(name, &err);
        } else {
                hl_last_use_record(name, &err);
                if (ready_us)
                        hl_ready_mark(name, ready_us);
        }
        if (err.kind && !last->is_unnoted) /* once, not for each request */
                hl_log(LOG_ERR, NULL, "%s", err.message);
        *last = (struct last){ .at_us = now_us, .was_answered = ready_us > 0, .is_unnoted = err.kind };
        memcpy(last->name, name, strlen(name) + 1);
}

/* When the request began that a model has answered: its answer came after that. 0: there is none, or it is nonsense. */
static uint64_t ready_since(const char *text)
{
        static const char answered[] = "answered ";
        uint64_t now_us = hl_clock_monotonic();
        if (!hl_has_prefix(text, answered))
                return 0;
        double seconds = strtod(text + sizeof(answered) - 1, NULL);
        return seconds >= 0 && seconds < (double)now_us / HL_USEC_PER_SEC
                       ? now_us - (uint64_t)(seconds * (double)HL_USEC_PER_SEC)
                       : 0;
}

static void read_line(struct last *last, char *line)
{
        char *name = strstr(line, TAG);
        if (!name)
                return;
        name += strlen(TAG);
        size_t len = strcspn(name, " \r\n");
        const char *rest = name[len] == ' ' ? name + len + 1 : "";
        name[len] = '\0';
        if (hl_model_name_valid(name))
                note(last, name, ready_since(rest));
}

/* All that have come: 0, or -errno. */
static int read_lines(struct last *last)
{
        char line[LINE_MAX_BYTES + 1];
        for (;;) {
                ssize_t n = recv(STDIN_FILENO, line, LINE_MAX_BYTES, MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && errno != EINTR)
                        return errno == EAGAIN ? 0 : -errno;
                if (n > 0 && n <= LINE_MAX_BYTES) {
                        line[n] = '\0';
                        read_line(last, line);
                }
        }
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EXIT_SUCCESS;
        struct last last = { .name = "" };
        uint64_t quiet_us = hl_idle_from_env(QUIET_US);
        int type = 0;
        socklen_t len = sizeof(type);
        hl_keep_private();
        hl_log_open("model-activity");
        if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM) {
                fprintf(stderr, "model-activity reads what NGINX logs: it is started by model-activity.socket\n");
                return EX_USAGE;
        }
        while (hl_wait_fd(STDIN_FILENO, POLLIN, hl_clock_monotonic() + quiet_us) > 0) {
                if (read_lines(&last) < 0)
                        return EXIT_FAILURE;
                hl_sleep_or_hangup(-1, TOGETHER_US);
        }
        return EXIT_SUCCESS;
}
