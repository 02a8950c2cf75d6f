/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "kernel/sockets.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATUS_OK 200
#define STATUS_LOADING 503

static int begin(struct hl_probe *probe, uint16_t port, const char *path, const char *version)
{
        const struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(HL_SOCKETS_OWN_SOURCE) },
                                 address = { .sin_family = AF_INET,
                                             .sin_port = htons(port),
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        *probe = (struct hl_probe){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
        if (probe->fd < 0 || bind(probe->fd, (const struct sockaddr *)&own, sizeof(own)) < 0)
                return -errno;
        if (connect(probe->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
                return -errno;
        probe->request = hl_format(
                "GET %s %s\r\nHost: 127.0.0.1:%u\r\nUser-Agent: home-lab-services\r\nConnection: close\r\n\r\n", path,
                version, port);
        return 0;
}

int hl_probe_begin(struct hl_probe *probe, uint16_t port, const char *path)
{
        return begin(probe, port, path, "HTTP/1.1");
}

/* ---- what an answer says ---- */

static const char *text_of(const char *answer)
{
        const char *end = strstr(answer, "\r\n\r\n");
        return end ? end + 4 : NULL;
}

#define LENGTH_FIELD "\r\nContent-Length:"
#define LENGTH_UNKNOWN SIZE_MAX /* the end of the connection ends the text */

/* How long its head says that the text is. */
static size_t length_of(const char *answer, const char *text)
{
        const char *field = strcasestr(answer, LENGTH_FIELD);
        if (!field || field > text)
                return LENGTH_UNKNOWN;
        field += strlen(LENGTH_FIELD);
        field += strspn(field, " \t");
        return isdigit((unsigned char)*field) ? strtoul(field, NULL, 10) : LENGTH_UNKNOWN;
}

static bool is_whole(const char *answer, size_t len)
{
        const char *text = text_of(answer);
        size_t length = text ? length_of(answer, text) : LENGTH_UNKNOWN;
        if (length == LENGTH_UNKNOWN)
                return false;
        return length > HL_PROBE_ANSWER_MAX || (size_t)(answer + len - text) >= length;
}

static bool is_word_of_loading(const char *word)
{
        static const char *const words[] = { "loading",      "loading model", "loading_model", "loading weights",
                                             "initializing", "initialising",  "starting",      "starting up",
                                             "warming up",   "warming_up",    "not ready",     "not_ready",
                                             "unloaded",     "unhealthy" };
        for (size_t i = 0; i < HL_COUNT(words); i++)
                if (strcasecmp(words[i], word) == 0)
                        return true;
        return false;
}

static bool json_says_loading(const char *text)
{
        static const char *const keys[] = { "status", "state" };
        const char *end = strrchr(text, '}'); /* around it a chunk's length may stand */
        struct hl_err err = { 0 };
        hl_json *json = NULL;
        if (!end || hl_json_parse(text, (size_t)(end - text) + 1, &json, &err) < 0)
                return false;
        bool says = false;
        for (size_t i = 0; i < HL_COUNT(keys); i++) {
                const char *value = hl_json_get_string(json, keys[i]);
                says = says || (value && is_word_of_loading(value));
        }
        hl_json_free(json);
        return says;
}

static bool text_says_loading(const char *text)
{
        const char *json = strchr(text, '{');
        if (json)
                return json_says_loading(json);
        HL_CLEANUP(hl_free_pointer) char *word = hl_strdup(text + strspn(text, " \t\r\n\""));
        for (size_t n = strlen(word); n > 0 && strchr(" \t\r\n\".!…", word[n - 1]); n--)
                word[n - 1] = '\0';
        return is_word_of_loading(word);
}

/* Whether an answer 200, head and text, says unmistakably that its server is not ready: {"status": "loading model"}.
 * What stands behind the text's length is none of it. */
static bool says_loading(const char *answer, size_t len)
{
        const char *text = text_of(answer);
        if (!text)
                return false;
        size_t there = (size_t)(answer + len - text), length = length_of(answer, text);
        HL_CLEANUP(hl_free_pointer) char *copy = hl_strndup(text, there < length ? there : length);
        return strlen(copy) == (there < length ? there : length) && text_says_loading(copy);
}

/* ---- one question ---- */

static int again(short events, short *ret_events)
{
        *ret_events = events;
        return -EAGAIN;
}

static int judge_text(const struct hl_probe *probe)
{
        return says_loading(probe->answer, probe->len) ? STATUS_LOADING : probe->status;
}

/* The answer's status, or -EPROTO; -EAGAIN: its text is worth reading, and is not whole. */
static int read_status(struct hl_probe *probe)
{
        if (probe->status == 0 &&
            (sscanf(probe->answer, "HTTP/1.%*1d %3d", &probe->status) != 1 || probe->status < 100)) {
                probe->status = 0;
                return -EPROTO;
        }
        if (probe->status != STATUS_OK || probe->no_text)
                return probe->status;
        if (is_whole(probe->answer, probe->len))
                return judge_text(probe);
        return probe->len == HL_PROBE_ANSWER_MAX ? probe->status : -EAGAIN;
}

int hl_probe_step(struct hl_probe *probe, short *ret_events)
{
        size_t request_len = strlen(probe->request);
        while (probe->sent < request_len) {
                /* A refused connection shows here: as an error of send(). */
                ssize_t n = send(probe->fd, probe->request + probe->sent, request_len - probe->sent, MSG_NOSIGNAL);
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? again(POLLOUT, ret_events) : -errno;
                probe->sent += (size_t)n;
        }
        for (;;) {
                size_t wanted = probe->status > 0 ? HL_PROBE_ANSWER_MAX : HL_PROBE_STATUS_LEN;
                ssize_t n = read(probe->fd, probe->answer + probe->len, wanted - probe->len);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return again(POLLIN, ret_events);
                if (n <= 0)
                        return probe->status > 0 ? judge_text(probe) : n < 0 ? -errno : -EPROTO;
                probe->len += (size_t)n;
                probe->answer[probe->len] = '\0';
                if (probe->len < HL_PROBE_STATUS_LEN)
                        continue;
                int status = read_status(probe);
                if (status != -EAGAIN)
                        return status;
        }
}

void hl_probe_end(struct hl_probe *probe)
{
        hl_close_fd(&probe->fd);
        probe->fd = -1;
        free(hl_steal(probe->request));
}

/* The status of a probe that has begun. */
static int wait_for_status(struct hl_probe *probe, uint64_t deadline_us)
{
        uint64_t text_us = 0;
        short events;
        int r;
        while ((r = hl_probe_step(probe, &events)) == -EAGAIN) {
                if (probe->status > 0 && text_us == 0)
                        text_us = hl_clock_monotonic() + HL_PROBE_TEXT_US;
                int ready = hl_wait_fd(probe->fd, events, text_us > 0 && text_us < deadline_us ? text_us : deadline_us);
                if (ready <= 0)
                        return ready < 0 ? ready : probe->status > 0 ? probe->status : -ETIMEDOUT;
        }
        return r;
}

int hl_probe(uint16_t port, const char *path, uint64_t deadline_us)
{
        HL_CLEANUP(hl_probe_end) struct hl_probe probe;
        int r = hl_probe_begin(&probe, port, path);
        return r < 0 ? r : wait_for_status(&probe, deadline_us);
}

int hl_probe_text(uint16_t port, const char *path, uint64_t deadline_us, struct hl_buf *answer)
{
        HL_CLEANUP(hl_probe_end) struct hl_probe probe;
        int r = begin(&probe, port, path, "HTTP/1.0"); /* 1.0: the body comes in one piece, not in chunks */
        probe.no_text = true;                          /* here */
        int status = r < 0 ? r : wait_for_status(&probe, deadline_us);
        while (status >= 0) {
                char bytes[16384];
                r = hl_wait_fd(probe.fd, POLLIN, deadline_us);
                if (r <= 0)
                        return r == 0 ? -ETIMEDOUT : r;
                ssize_t n = read(probe.fd, bytes, sizeof(bytes));
                if (n == 0)
                        break;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                r = n > 0 ? hl_buf_add(answer, bytes, (size_t)n) : 0;
                if (r < 0)
                        return r;
        }
        return status;
}
