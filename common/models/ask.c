/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

static uint64_t less(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

int hl_ask_begin(struct hl_ask *ask, uint16_t port, const char *path)
{
        *ask = (struct hl_ask){ .epoll = epoll_create1(EPOLL_CLOEXEC),
                                .port = port,
                                .path = path,
                                .begun_us = hl_clock_monotonic(),
                                .patience_us = HL_ASK_PATIENCE_US };
        return ask->epoll < 0 ? -errno : 0;
}

/* The kernel forgets a descriptor that is closed. */
static void end_try(struct hl_ask_try *try)
{
        if (try->since_us)
                hl_probe_end(&try->probe);
        *try = (struct hl_ask_try){ .probe.fd = -1 };
}

void hl_ask_end(struct hl_ask *ask)
{
        for (size_t i = 0; i < HL_COUNT(ask->tries); i++)
                end_try(&ask->tries[i]);
        hl_close_fd(&ask->epoll);
        ask->epoll = -1;
}

static int watch(const struct hl_ask *ask, int fd, short events)
{
        struct epoll_event event = { .events = events == POLLIN ? EPOLLIN : EPOLLOUT };
        if (epoll_ctl(ask->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
                return 0;
        return epoll_ctl(ask->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void pause_after(struct hl_ask *ask, uint64_t now_us)
{
        uint64_t pause_us = less(hl_us_minus(now_us, ask->begun_us) / HL_ASK_PAUSE_PART, HL_ASK_LAST_PAUSE_US);
        ask->next_us = now_us + (pause_us > HL_ASK_FIRST_PAUSE_US ? pause_us : HL_ASK_FIRST_PAUSE_US);
}

/* What a try has come to; -EAGAIN: nothing yet. */
static int step_try(struct hl_ask *ask, struct hl_ask_try *try, uint64_t now_us, uint64_t *again_us)
{
        short events = 0;
        int r = hl_probe_step(&try->probe, &events);
        if (r == -EAGAIN && try->probe.status > 0) { /* only its text is missing */
                try->status_us = try->status_us ? try->status_us : now_us;
                uint64_t end_us = try->status_us + HL_PROBE_TEXT_US;
                if (now_us >= end_us)
                        return try->probe.status;
                *again_us = less(*again_us, end_us);
        }
        int w = r == -EAGAIN ? watch(ask, try->probe.fd, events) : 0;
        return w < 0 ? w : r;
}

/* The older question stays; the younger one makes room for another. */
static int begin_try(struct hl_ask *ask, uint64_t now_us)
{
        if (!ask->tries[0].since_us && ask->tries[1].since_us) {
                ask->tries[0] = ask->tries[1];
                ask->tries[1] = (struct hl_ask_try){ .probe.fd = -1 };
        }
        struct hl_ask_try *try = &ask->tries[ask->tries[0].since_us ? 1 : 0];
        if (try->since_us) {
                end_try(try);
                ask->patience_us = less(ask->patience_us * 2, HL_ASK_LAST_PATIENCE_US);
        }
        int r = hl_probe_begin(&try->probe, ask->port, ask->path);
        try->since_us = now_us;
        ask->next_us = now_us + ask->patience_us;
        return r;
}

int hl_ask_step(struct hl_ask *ask, uint64_t *ret_asked_us, uint64_t *ret_again_us)
{
        uint64_t now_us = hl_clock_monotonic();
        for (bool begun = false;; begun = true) {
                uint64_t again_us = UINT64_MAX;
                for (size_t i = 0; i < HL_COUNT(ask->tries); i++) {
                        struct hl_ask_try *try = &ask->tries[i];
                        int r = try->since_us ? step_try(ask, try, now_us, &again_us) : -EAGAIN;
                        if (r == -EAGAIN)
                                continue;
                        *ret_asked_us = try->since_us;
                        end_try(try);
                        pause_after(ask, now_us);
                        *ret_again_us = ask->next_us;
                        return r;
                }
                *ret_again_us = less(again_us, ask->next_us);
                if (begun || now_us < ask->next_us)
                        return -EAGAIN;
                int r = begin_try(ask, now_us);
                if (r < 0) {
                        *ret_asked_us = now_us;
                        end_try(&ask->tries[ask->tries[1].since_us ? 1 : 0]);
                        pause_after(ask, now_us);
                        *ret_again_us = ask->next_us;
                        return r;
                }
        }
}
