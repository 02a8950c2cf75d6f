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
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STACK_SIZE (512 * 1024)
#define MEMORY_KEPT (1024 * 1024)      /* bytes, of a few threads together */
#define RESTING_MAX 8                  /* threads that wait for work, one of them with the lead; any more end */
#define LOOK_MS 1000                   /* at least, between two looks whether a request goes on */
#define COME_MAX 16                    /* kept connections that one look finds ready; others are found by the next */
#define LATE_US (5 * HL_USEC_PER_MSEC) /* one thread answers alone so long, before another looks for what comes */

const struct hl_fastcgi_limits hl_fastcgi_limits = {
        .first_us = HL_USEC_PER_SEC,
        .idle_us = 30 * HL_USEC_PER_SEC,
        .drain_us = 20 * HL_USEC_PER_SEC,
        .receive_us = 10 * HL_USEC_PER_SEC,
        .threads_max = 64,
        .kept_max = 16,
};

/* One whose request is not read yet. */
struct connection {
        int fd;
        uint64_t came_us; /* 0: it is new, and its request may still have to come */
};

/* What the loop and its threads share is changed with the mutex. A connection is in one place: it waits for a thread,
 * is one thread's, or is kept between two requests, and active no more. One thread at a time has the lead: it waits for
 * what comes by those that are kept. Then it gives up the lead and answers them in turn, which wakes nobody. Another
 * thread is woken before an answer that may take long, and by the loop's timer where any other does. */
struct worker {
        const struct hl_server *server;
        const struct hl_fastcgi_limits *limits;
        int listen_fd, signal_fd;
        int done_fd; /* an eventfd: what the loop waits for has happened */
        int stop_fd; /* another: readable once no further request is taken */
        int late_fd; /* a timer: somebody has gone on without the lead for so long */
        int kept_fd; /* an epoll of the kept connections, and of stop_fd */
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        struct connection *waiting; /* for a thread, the first come first */
        unsigned waiting_count;
        int *kept;
        unsigned kept_count;
        unsigned threads;
        unsigned resting, woken;     /* threads with nothing to do, and those of them that are called */
        unsigned active;             /* connections with a request */
        bool is_led, is_timed;       /* a thread has the lead; late_fd runs */
        bool is_awaited;             /* the loop wants to know when a request ends */
        bool served, stopping, over; /* over: nothing that comes is read any more */
        uint64_t since_us;           /* when the last request ended, or SIGTERM came */
        uint64_t led_us;             /* when a thread had the lead last */
        uint64_t rests_until_us;
};

/* One that is being answered. */
struct asked {
        struct worker *worker;
        struct hl_fastcgi_request *request;
        bool goes_on; /* a piece of its answer was written */
};

static const char *from_parameters(void *data, const char *name)
{
        return hl_fastcgi_get(((const struct asked *)data)->request, name);
}

static int from_stream(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        while (body->len < len) {
                char bytes[4096];
                size_t want = len - body->len < sizeof(bytes) ? len - body->len : sizeof(bytes);
                size_t n = hl_fastcgi_body(((const struct asked *)data)->request, bytes, want);
                if (n == 0)
                        return hl_refuse_incomplete(problem);
                hl_buf_add(body, bytes, n);
        }
        return 0;
}

static void *run_thread(void *data);

static bool start_thread(struct worker *w)
{
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        int r = pthread_create(&thread, &attributes, run_thread, w);
        pthread_attr_destroy(&attributes);
        w->threads += r == 0;
        return r == 0;
}

/* With the mutex: for work that this thread may not come to soon. Whether there is one. */
static bool wake_thread(struct worker *w)
{
        if (w->resting == 0)
                return start_thread(w);
        w->resting--;
        w->woken++;
        pthread_cond_signal(&w->changed);
        return true;
}

/* With the mutex. Without connections nothing comes: whoever keeps one has the lead next. */
static bool is_lead_wanted(const struct worker *w)
{
        return !w->is_led && !w->stopping && !w->over && w->kept_count + w->waiting_count > 0;
}

/* Somebody is to look after those who come while this thread answers, if that takes long. */
static void begin_late(struct worker *w)
{
        const struct itimerspec late = { .it_value = hl_timespec_of(LATE_US) };
        if (!w->is_timed)
                w->is_timed = timerfd_settime(w->late_fd, 0, &late, NULL) == 0;
}

/* Before what may take long. */
static void let_lead(struct worker *w)
{
        pthread_mutex_lock(&w->mutex);
        if (is_lead_wanted(w) && !wake_thread(w))
                begin_late(w);
        pthread_mutex_unlock(&w->mutex);
}

static int to_request(void *data, const void *bytes, size_t len)
{
        struct asked *asked = data;
        if (!asked->goes_on)
                let_lead(asked->worker);
        asked->goes_on = true;
        return hl_fastcgi_write(asked->request, bytes, len);
}

static bool may_take_long(const struct hl_fastcgi_request *request)
{
        const char *method = hl_fastcgi_get(request, "REQUEST_METHOD");
        return !method || strcmp(method, "GET") != 0;
}

/* Returns the connection, if it goes on: -1. */
static int answer(struct worker *w, const struct connection *c)
{
        struct hl_fastcgi_request *request = c->came_us == 0 ? hl_fastcgi_read(c->fd, w->limits->receive_us)
                                                             : hl_fastcgi_read_next(c->fd, w->limits->receive_us);
        if (!request)
                return -1;
        if (may_take_long(request))
                let_lead(w);
        struct asked asked = { .worker = w, .request = request };
        const struct hl_cgi_source source = { .get = from_parameters, .read_body = from_stream, .data = &asked };
        const struct hl_stream stream = { .write = to_request,
                                          .data = &asked,
                                          .client_fd = hl_fastcgi_fd(request),
                                          .stop_fd = w->stop_fd,
                                          .came_us = c->came_us > 0 ? c->came_us : hl_clock_monotonic() };
        struct hl_buf text = { 0 };
        hl_cgi_answer(w->server, &source, &stream, &text);
        int fd = hl_fastcgi_finish_kept(request, text.data ? text.data : "", text.len);
        hl_buf_free(&text);
        return fd;
}

/* ---- with the mutex ---- */

static void add_waiting(struct worker *w, int fd, uint64_t came_us)
{
        w->waiting[w->waiting_count++] = (struct connection){ fd, came_us };
        w->active++;
}

static struct connection take_waiting(struct worker *w)
{
        struct connection first = w->waiting[0];
        memmove(w->waiting, w->waiting + 1, --w->waiting_count * sizeof(first));
        return first;
}

static bool keep(struct worker *w, int fd, bool is_new)
{
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.fd = fd };
        if (w->stopping || w->over || w->kept_count == w->limits->kept_max ||
            epoll_ctl(w->kept_fd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) < 0)
                return false;
        w->kept[w->kept_count++] = fd;
        return true;
}

static void forget_kept(struct worker *w, int fd)
{
        for (unsigned i = 0; i < w->kept_count; i++)
                if (w->kept[i] == fd)
                        w->kept[i] = w->kept[--w->kept_count];
}

/* What comes by one then is left unread: the web server sees that, and asks again. */
static void close_kept(struct worker *w)
{
        while (w->kept_count > 0)
                close(w->kept[--w->kept_count]);
        eventfd_write(w->stop_fd, 1);
}

static void run_connection(struct worker *w)
{
        struct connection c = take_waiting(w);
        pthread_mutex_unlock(&w->mutex);
        int fd = answer(w, &c);
        pthread_mutex_lock(&w->mutex);
        w->active--;
        if (!w->stopping)
                w->since_us = hl_clock_monotonic();
        if (w->is_awaited)
                eventfd_write(w->done_fd, 1);
        if (fd >= 0 && !keep(w, fd, c.came_us == 0))
                close(fd);
}

/* Waits for what comes by the kept connections, without the mutex. The web server may close them, as it pleases. */
static void lead(struct worker *w)
{
        struct epoll_event events[COME_MAX];
        w->is_led = true;
        pthread_mutex_unlock(&w->mutex);
        int count = epoll_wait(w->kept_fd, events, COME_MAX, -1);
        pthread_mutex_lock(&w->mutex);
        w->is_led = false;
        w->led_us = hl_clock_monotonic();
        for (int i = 0; i < count && !w->stopping && !w->over; i++) {
                int fd = events[i].data.fd;
                forget_kept(w, fd);
                if (events[i].events == EPOLLIN)
                        add_waiting(w, fd, w->led_us);
                else
                        close(fd);
        }
        if (w->waiting_count > 0)
                begin_late(w);
}

static void rest(struct worker *w)
{
        w->resting++;
        do
                pthread_cond_wait(&w->changed, &w->mutex);
        while (!w->over && w->woken == 0);
        if (w->woken > 0)
                w->woken--;
        else
                w->resting--;
}

static void *run_thread(void *data)
{
        struct worker *w = data;
        pthread_mutex_lock(&w->mutex);
        while (w->waiting_count > 0 || !w->over) {
                if (w->waiting_count > 0)
                        run_connection(w);
                else if (!w->is_led && !w->stopping)
                        lead(w);
                else if (w->resting + w->is_led < RESTING_MAX)
                        rest(w);
                else
                        break;
        }
        w->threads--;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->mutex);
        return NULL;
}

/* For poll(): how long what is waited for may take, in milliseconds. While a request is answered, that is no end. */
static int patience(const struct worker *w)
{
        uint64_t limit_us = w->stopping ? w->limits->drain_us : w->served ? w->limits->idle_us : w->limits->first_us;
        if (w->active > 0 && !w->stopping)
                return (int)(limit_us / HL_USEC_PER_MSEC) + LOOK_MS;
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
        if (wake_thread(w))
                add_waiting(w, fd, 0);
        else
                close(fd);
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
        close_kept(w);
        for (unsigned i = 0; i < w->waiting_count; i++)
                wake_thread(w); /* the timer's calls are over */
}

/* A thread has gone on for long since it had the lead. */
static void see_late(struct worker *w)
{
        uint64_t expirations;
        w->is_timed = read(w->late_fd, &expirations, sizeof(expirations)) < 0;
        if (!is_lead_wanted(w))
                return;
        if (hl_clock_monotonic() - w->led_us >= LATE_US)
                wake_thread(w);
        begin_late(w);
}

/* Waits for what comes next, without the mutex. */
static int await(struct worker *w)
{
        bool full = w->active >= w->limits->threads_max;
        bool rests = !w->stopping && hl_clock_monotonic() < w->rests_until_us;
        struct pollfd fds[] = { { .fd = w->done_fd, .events = POLLIN },
                                { .fd = w->stopping ? -1 : w->signal_fd, .events = POLLIN },
                                { .fd = w->stopping || full || rests ? -1 : w->listen_fd, .events = POLLIN },
                                { .fd = w->stopping ? -1 : w->late_fd, .events = POLLIN } };
        int timeout = rests ? (int)(HL_LISTENER_REST_US / HL_USEC_PER_MSEC) : patience(w);
        eventfd_t ignored;
        w->is_awaited = full || w->stopping;
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
        if (r > 0 && fds[3].revents)
                see_late(w);
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
        close_kept(w);
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
        HL_CLEANUP(hl_close_fd) int late_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        HL_CLEANUP(hl_close_fd) int kept_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event stopped = { .events = EPOLLIN, .data.fd = stop_fd };
        if (signal_fd < 0 || done_fd < 0 || stop_fd < 0 || late_fd < 0 || kept_fd < 0 ||
            epoll_ctl(kept_fd, EPOLL_CTL_ADD, stop_fd, &stopped) < 0)
                return -errno;
        int r = hl_fastcgi_init();
        if (r < 0)
                return r;

        mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT); /* or the kernel takes an answer's memory back, and gives it anew */
        HL_CLEANUP(hl_free_pointer)
        struct connection *waiting = hl_alloc((limits->threads_max + limits->kept_max) * sizeof(*waiting));
        HL_CLEANUP(hl_free_pointer) int *kept = hl_alloc(limits->kept_max * sizeof(*kept));
        struct worker w = { .server = server,
                            .limits = limits,
                            .listen_fd = listen_fd,
                            .signal_fd = signal_fd,
                            .done_fd = done_fd,
                            .stop_fd = stop_fd,
                            .late_fd = late_fd,
                            .kept_fd = kept_fd,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER,
                            .waiting = waiting,
                            .kept = kept };
        return serve(&w);
}
