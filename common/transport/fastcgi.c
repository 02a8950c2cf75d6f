/* SPDX-License-Identifier: MIT */
#include "fastcgi.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cgi.h"
#include "fastcgi_request.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (512 * 1024)

const struct hl_fastcgi_limits hl_fastcgi_limits = {
        .first_us = HL_USEC_PER_SEC,
        .idle_us = 30 * HL_USEC_PER_SEC,
        .drain_us = 20 * HL_USEC_PER_SEC,
        .receive_us = 10 * HL_USEC_PER_SEC,
        .threads_max = 64,
};

struct worker {
        const struct hl_server *server;
        const struct hl_fastcgi_limits *limits;
        int listen_fd, signal_fd;
        int done_fd; /* an eventfd: each thread that ends adds one */
        int stop_fd; /* another: readable once SIGTERM came */
        unsigned active;
        bool served, stopping;
        uint64_t since_us; /* when the last request ended, or SIGTERM came */
        uint64_t rests_until_us;
};

struct connection {
        const struct hl_server *server;
        int fd, done_fd, stop_fd;
        uint64_t receive_us;
};

static const char *from_parameters(void *data, const char *name)
{
        return hl_fastcgi_get(data, name);
}

static int from_stream(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        while (body->len < len) {
                char bytes[4096];
                size_t want = len - body->len < sizeof(bytes) ? len - body->len : sizeof(bytes);
                size_t n = hl_fastcgi_body(data, bytes, want);
                if (n == 0)
                        return hl_refuse_incomplete(problem);
                hl_buf_add(body, bytes, n);
        }
        return 0;
}

static int to_request(void *data, const void *bytes, size_t len)
{
        return hl_fastcgi_write(data, bytes, len);
}

static void *run_connection(void *data)
{
        struct connection *connection = data;
        struct hl_fastcgi_request *request = hl_fastcgi_read(connection->fd, connection->receive_us);
        if (request) {
                const struct hl_cgi_source source = { .get = from_parameters,
                                                      .read_body = from_stream,
                                                      .data = request };
                const struct hl_stream stream = { .write = to_request,
                                                  .data = request,
                                                  .client_fd = hl_fastcgi_fd(request),
                                                  .stop_fd = connection->stop_fd };
                struct hl_buf text = { 0 };
                hl_cgi_answer(connection->server, &source, &stream, &text);
                hl_fastcgi_finish(request, text.data ? text.data : "", text.len);
                hl_buf_free(&text);
        }
        eventfd_write(connection->done_fd, 1);
        free(connection);
        return NULL;
}

/* A connection that no thread can be had for is closed: the web server answers 502, and the next may fare better. */
static void start_job(struct worker *w, int fd)
{
        struct connection *connection = hl_alloc(sizeof(*connection));
        *connection = (struct connection){ .server = w->server,
                                           .fd = fd,
                                           .done_fd = w->done_fd,
                                           .stop_fd = w->stop_fd,
                                           .receive_us = w->limits->receive_us };
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        if (pthread_create(&thread, &attributes, run_connection, connection) == 0) {
                w->active++;
        } else {
                close(fd);
                free(connection);
        }
        pthread_attr_destroy(&attributes);
}

int hl_fastcgi_accept(int listen_fd, bool *ret_rest)
{
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), r = fd < 0 ? -errno : fd;
        *ret_rest = r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
        return r;
}

/* For poll(): how long what is waited for may take, in milliseconds; -1 is for ever. */
static int patience(const struct worker *w)
{
        if (w->active > 0 && !w->stopping)
                return -1;
        uint64_t limit_us = w->stopping ? w->limits->drain_us : w->served ? w->limits->idle_us : w->limits->first_us;
        uint64_t passed_us = hl_clock_monotonic() - w->since_us;
        return passed_us < limit_us ? (int)((limit_us - passed_us) / HL_USEC_PER_MSEC) + 1 : 0;
}

/* Nothing happened for as long as it may. */
static void end(const struct worker *w)
{
        if (w->stopping) {
                hl_log(LOG_WARNING, NULL, "told to stop: cuts off requests that take too long (%u)", w->active);
                _exit(EXIT_SUCCESS); /* their threads still use what a return would take from under them */
        }
        if (!w->served)
                hl_log(LOG_NOTICE, NULL, "nobody asks yet: its sockets start a process when somebody does");
        hl_log_status("ended by itself: a request to its sockets starts it");
}

static void take(struct worker *w)
{
        bool rest;
        int fd = hl_fastcgi_accept(w->listen_fd, &rest);
        if (rest)
                w->rests_until_us = hl_clock_monotonic() + HL_FASTCGI_REST_US;
        if (fd < 0)
                return;
        w->served = true;
        start_job(w, fd);
}

/* Until nothing came for a while, or SIGTERM. */
static int serve(struct worker *w)
{
        w->since_us = hl_clock_monotonic();
        while (!w->stopping || w->active > 0) {
                bool full = w->active >= w->limits->threads_max;
                bool rests = !w->stopping && hl_clock_monotonic() < w->rests_until_us;
                struct pollfd fds[] = { { .fd = w->done_fd, .events = POLLIN },
                                        { .fd = w->stopping ? -1 : w->signal_fd, .events = POLLIN },
                                        { .fd = w->stopping || full || rests ? -1 : w->listen_fd, .events = POLLIN } };
                int r = poll(fds, HL_COUNT(fds), rests ? (int)(HL_FASTCGI_REST_US / HL_USEC_PER_MSEC) : patience(w));
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r == 0 && !rests) {
                        end(w);
                        return 0;
                }
                eventfd_t done = 0;
                if (fds[0].revents && eventfd_read(w->done_fd, &done) == 0) {
                        w->active -= (unsigned)done;
                        if (!w->stopping)
                                w->since_us = hl_clock_monotonic();
                }
                if (fds[1].revents) {
                        w->stopping = true;
                        w->since_us = hl_clock_monotonic();
                        eventfd_write(w->stop_fd, 1);
                }
                if (fds[2].revents && !w->stopping)
                        take(w);
        }
        return 0;
}

struct hl_fastcgi_limits hl_fastcgi_limits_from_env(void)
{
        struct hl_fastcgi_limits limits = hl_fastcgi_limits;
        limits.idle_us = hl_idle_from_env(limits.idle_us);
        return limits;
}

bool hl_is_listening(int fd)
{
        int listening = 0;
        socklen_t len = sizeof(listening);
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

int hl_fastcgi_serve(int listen_fd, const struct hl_fastcgi_limits *limits, const struct hl_server *server)
{
        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &term, NULL);
        HL_CLEANUP(hl_close_fd) int signal_fd = signalfd(-1, &term, SFD_CLOEXEC);
        HL_CLEANUP(hl_close_fd) int done_fd = eventfd(0, EFD_CLOEXEC);
        HL_CLEANUP(hl_close_fd) int stop_fd = eventfd(0, EFD_CLOEXEC);
        if (signal_fd < 0 || done_fd < 0 || stop_fd < 0)
                return -errno;
        int r = hl_fastcgi_init();
        if (r < 0)
                return r;

        struct worker w = { .server = server,
                            .limits = limits,
                            .listen_fd = listen_fd,
                            .signal_fd = signal_fd,
                            .done_fd = done_fd,
                            .stop_fd = stop_fd };
        return serve(&w);
}
