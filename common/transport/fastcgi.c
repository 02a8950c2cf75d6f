/* SPDX-License-Identifier: MIT */
#include "fastcgi.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cgi.h"
#include "fastcgi_request.h"
#include "listener.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (512 * 1024)
#define MEMORY_KEPT (1024 * 1024) /* bytes, of a few threads together */
#define RESTING_MAX 8             /* threads that wait for a connection; any more end */

const struct hl_fastcgi_limits hl_fastcgi_limits = {
        .first_us = HL_USEC_PER_SEC,
        .idle_us = 30 * HL_USEC_PER_SEC,
        .drain_us = 20 * HL_USEC_PER_SEC,
        .receive_us = 10 * HL_USEC_PER_SEC,
        .threads_max = 64,
        .kept_max = 16,
};

/* What the loop and its threads share is changed with the mutex. A connection is one thread's, and has one request at a
 * time; between two it is kept, and active no more. */
struct worker {
        const struct hl_server *server;
        const struct hl_fastcgi_limits *limits;
        int listen_fd, signal_fd;
        int done_fd; /* an eventfd: what the loop waits for has happened */
        int stop_fd; /* another: readable once no further request is taken */
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        int *given; /* connections that no thread has yet, limits->threads_max of them at most */
        unsigned given_count;
        unsigned threads, resting; /* resting: those without a connection */
        unsigned active, kept;
        bool is_awaited;             /* the loop wants to know when a request ends */
        bool served, stopping, over; /* over: nothing that comes is read any more */
        uint64_t since_us;           /* when the last request ended, or SIGTERM came */
        uint64_t rests_until_us;
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

/* Returns the connection, if it goes on: -1. */
static int answer(const struct worker *w, int fd, bool is_first)
{
        struct hl_fastcgi_request *request =
                is_first ? hl_fastcgi_read(fd, w->limits->receive_us) : hl_fastcgi_read_next(fd, w->limits->receive_us);
        if (!request)
                return -1;
        const struct hl_cgi_source source = { .get = from_parameters, .read_body = from_stream, .data = request };
        const struct hl_stream stream = {
                .write = to_request, .data = request, .client_fd = hl_fastcgi_fd(request), .stop_fd = w->stop_fd
        };
        struct hl_buf text = { 0 };
        hl_cgi_answer(w->server, &source, &stream, &text);
        fd = hl_fastcgi_finish_kept(request, text.data ? text.data : "", text.len);
        hl_buf_free(&text);
        return fd;
}

/* With the mutex. */
static void end_request(struct worker *w)
{
        w->active--;
        if (!w->stopping)
                w->since_us = hl_clock_monotonic();
        if (w->is_awaited)
                eventfd_write(w->done_fd, 1);
}

/* Waits for the next request on a kept connection. The web server may close it, as it pleases. */
static bool has_come(const struct worker *w, int fd)
{
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN | POLLRDHUP }, { .fd = w->stop_fd, .events = POLLIN } };
        int r;
        do
                r = poll(fds, HL_COUNT(fds), -1);
        while (r < 0 && errno == EINTR);
        return r > 0 && !fds[1].revents && fds[0].revents == POLLIN;
}

/* With the mutex, but for the times of reading, answering and waiting. What comes when all is over is left unread: the
 * web server sees that, and asks again. */
static void run_connection(struct worker *w, int fd)
{
        bool goes_on = true;
        for (bool is_first = true; goes_on; is_first = false) {
                pthread_mutex_unlock(&w->mutex);
                fd = answer(w, fd, is_first);
                pthread_mutex_lock(&w->mutex);
                end_request(w);
                goes_on = fd >= 0 && !w->stopping && w->kept < w->limits->kept_max;
                if (!goes_on)
                        break;
                w->kept++;
                pthread_mutex_unlock(&w->mutex);
                goes_on = has_come(w, fd);
                pthread_mutex_lock(&w->mutex);
                w->kept--;
                goes_on = goes_on && !w->stopping && !w->over;
                w->active += goes_on;
        }
        hl_close_fd(&fd);
}

static void *run_thread(void *data)
{
        struct worker *w = data;
        pthread_mutex_lock(&w->mutex);
        while (w->given_count > 0 || (!w->over && w->resting < RESTING_MAX)) {
                if (w->given_count > 0) {
                        run_connection(w, w->given[--w->given_count]);
                        continue;
                }
                w->resting++;
                pthread_cond_wait(&w->changed, &w->mutex);
                w->resting--;
        }
        w->threads--;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->mutex);
        return NULL;
}

static bool start_thread(struct worker *w)
{
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        int r = pthread_create(&thread, &attributes, run_thread, w);
        pthread_attr_destroy(&attributes);
        return r == 0;
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
static void end(struct worker *w)
{
        if (w->stopping) {
                hl_log(LOG_WARNING, NULL, "told to stop: cuts off requests that take too long (%u)", w->active);
                _exit(EXIT_SUCCESS); /* their threads still use what a return would take from under them */
        }
        if (!w->served)
                hl_log(LOG_NOTICE, NULL, "nobody asks yet: its sockets start a process when somebody does");
        hl_log_status("ended by itself: a request to its sockets starts it");
        w->over = true;
}

/* A connection that no thread can be had for is closed: the web server answers 502, and the next may fare better. */
static void give(struct worker *w, int fd)
{
        w->served = true;
        w->given[w->given_count++] = fd;
        if (w->resting >= w->given_count) {
                pthread_cond_signal(&w->changed);
        } else if (start_thread(w)) {
                w->threads++;
        } else {
                w->given_count--;
                close(fd);
                return;
        }
        w->active++;
}

static void take(struct worker *w)
{
        bool rest;
        int fd = hl_listener_accept(w->listen_fd, &rest);
        if (rest)
                w->rests_until_us = hl_clock_monotonic() + HL_LISTENER_REST_US;
        if (fd >= 0)
                give(w, fd);
}

static void stop(struct worker *w)
{
        w->stopping = true;
        w->since_us = hl_clock_monotonic();
        eventfd_write(w->stop_fd, 1);
}

/* Waits for what comes next, without the mutex. */
static int await(struct worker *w)
{
        bool full = w->active >= w->limits->threads_max;
        bool rests = !w->stopping && hl_clock_monotonic() < w->rests_until_us;
        struct pollfd fds[] = { { .fd = w->done_fd, .events = POLLIN },
                                { .fd = w->stopping ? -1 : w->signal_fd, .events = POLLIN },
                                { .fd = w->stopping || full || rests ? -1 : w->listen_fd, .events = POLLIN } };
        int timeout = rests ? (int)(HL_LISTENER_REST_US / HL_USEC_PER_MSEC) : patience(w);
        eventfd_t ignored;
        w->is_awaited = full || w->active > 0;
        pthread_mutex_unlock(&w->mutex);
        int r = poll(fds, HL_COUNT(fds), timeout);
        r = r < 0 && errno != EINTR ? -errno : r;
        if (r > 0 && fds[0].revents)
                eventfd_read(w->done_fd, &ignored);
        pthread_mutex_lock(&w->mutex);
        if (r == 0 && !rests && patience(w) == 0) /* nor on a connection that is kept */
                end(w);
        if (r > 0 && fds[1].revents)
                stop(w);
        if (r > 0 && fds[2].revents && !w->stopping)
                take(w);
        return r < 0 ? r : 0;
}

/* Until nothing came for a while, or SIGTERM. */
static int serve(struct worker *w)
{
        int r = 0;
        pthread_mutex_lock(&w->mutex);
        w->since_us = hl_clock_monotonic();
        while (r == 0 && !w->over) {
                r = await(w);
                w->over = w->over || (w->stopping && w->active == 0);
        }
        w->over = true;
        eventfd_write(w->stop_fd, 1);
        pthread_cond_broadcast(&w->changed);
        while (w->threads > 0)
                pthread_cond_wait(&w->changed, &w->mutex);
        pthread_mutex_unlock(&w->mutex);
        return r;
}

struct hl_fastcgi_limits hl_fastcgi_limits_from_env(void)
{
        struct hl_fastcgi_limits limits = hl_fastcgi_limits;
        limits.idle_us = hl_idle_from_env(limits.idle_us);
        return limits;
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

        mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT); /* or the kernel takes an answer's memory back, and gives it anew */
        HL_CLEANUP(hl_free_pointer) int *given = hl_alloc(limits->threads_max * sizeof(*given));
        struct worker w = { .server = server,
                            .limits = limits,
                            .listen_fd = listen_fd,
                            .signal_fd = signal_fd,
                            .done_fd = done_fd,
                            .stop_fd = stop_fd,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER,
                            .given = given };
        return serve(&w);
}
