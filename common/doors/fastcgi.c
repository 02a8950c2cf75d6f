#include "fastcgi.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define STACK_SIZE (512 * 1024)

const struct hl_fastcgi_limits hl_fastcgi_limits = {
        .idle_us = 30 * HL_USEC_PER_SEC,
        .receive_us = 10 * HL_USEC_PER_SEC,
        .threads_max = 64,
};

struct worker {
        const struct hl_door *door;
        const struct hl_fastcgi_limits *limits;
        int listen_fd, signal_fd;
        int done_fd; /* an eventfd: each thread that ends adds one */
        unsigned active;
};

struct job {
        const struct hl_door *door;
        int fd, done_fd;
};

static const char *from_parameters(void *data, const char *name)
{
        FCGX_Request *fcgi = data;
        return FCGX_GetParam(name, fcgi->envp);
}

static int from_stream(void *data, size_t len, struct hl_buf *body, struct hl_problem *problem)
{
        FCGX_Request *fcgi = data;
        while (body->len < len) {
                char bytes[4096];
                size_t want = len - body->len < sizeof(bytes) ? len - body->len : sizeof(bytes);
                int n = FCGX_GetStr(bytes, (int)want, fcgi->in);
                if (n <= 0)
                        return hl_problem(problem, 400, "incomplete_request", "the request ended before it was whole");
                hl_buf_add(body, bytes, (size_t)n);
        }
        return 0;
}

static void answer(FCGX_Request *fcgi, const struct hl_door *door)
{
        const struct hl_cgi_source source = { .get = from_parameters, .read_body = from_stream, .data = fcgi };
        struct hl_buf text = { 0 };
        hl_cgi_answer(door, &source, &text);
        FCGX_PutStr(text.data, (int)text.len, fcgi->out);
        hl_buf_free(&text);
}

static void *run_job(void *data)
{
        struct job *job = data;
        FCGX_Request fcgi;
        FCGX_InitRequest(&fcgi, -1, 0); /* no socket to accept from: it fails where it would try to */
        fcgi.ipcFd = job->fd;
        fcgi.keepConnection = 1; /* or FCGX_Accept_r() begins with closing the connection it was given */
        if (FCGX_Accept_r(&fcgi) == 0) {
                answer(&fcgi, job->door);
                FCGX_Finish_r(&fcgi);
        }
        FCGX_Free(&fcgi, 1);
        eventfd_write(job->done_fd, 1);
        free(job);
        return NULL;
}

/* A connection that no thread can be had for is closed: the web server answers 502, and the next may fare better. */
static void start_job(struct worker *w, int fd)
{
        struct timeval receive = { .tv_sec = (time_t)(w->limits->receive_us / HL_USEC_PER_SEC),
                                   .tv_usec = (suseconds_t)(w->limits->receive_us % HL_USEC_PER_SEC) };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive));

        struct job *job = hl_alloc(sizeof(*job));
        *job = (struct job){ .door = w->door, .fd = fd, .done_fd = w->done_fd };
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        if (pthread_create(&thread, &attributes, run_job, job) == 0) {
                w->active++;
        } else {
                close(fd);
                free(job);
        }
        pthread_attr_destroy(&attributes);
}

/* Until nothing came for a while, or SIGTERM. */
static int serve(struct worker *w)
{
        uint64_t quiet_since_us = hl_clock_monotonic();
        for (bool stopping = false; !stopping || w->active > 0;) {
                bool full = w->active >= w->limits->threads_max;
                struct pollfd fds[] = { { .fd = w->done_fd, .events = POLLIN },
                                        { .fd = w->signal_fd, .events = POLLIN },
                                        { .fd = stopping || full ? -1 : w->listen_fd, .events = POLLIN } };
                uint64_t quiet_us = hl_clock_monotonic() - quiet_since_us;
                int timeout = -1;
                if (w->active == 0 && !stopping)
                        timeout = quiet_us < w->limits->idle_us
                                          ? (int)((w->limits->idle_us - quiet_us) / HL_USEC_PER_MSEC) + 1
                                          : 0;
                int r = poll(fds, HL_COUNT(fds), timeout);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r == 0)
                        return 0;
                eventfd_t done = 0;
                if (fds[0].revents && eventfd_read(w->done_fd, &done) == 0) {
                        w->active -= (unsigned)done;
                        quiet_since_us = hl_clock_monotonic();
                }
                if (fds[1].revents)
                        stopping = true;
                if (fds[2].revents) {
                        int fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);
                        if (fd >= 0)
                                start_job(w, fd);
                }
        }
        return 0;
}

int hl_fastcgi_serve(int listen_fd, const struct hl_fastcgi_limits *limits, const struct hl_door *door)
{
        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &term, NULL);
        HL_CLEANUP(hl_close_fd) int signal_fd = signalfd(-1, &term, SFD_CLOEXEC);
        HL_CLEANUP(hl_close_fd) int done_fd = eventfd(0, EFD_CLOEXEC);
        if (signal_fd < 0 || done_fd < 0)
                return -errno;
        if (FCGX_Init() != 0)
                return -EIO;
        signal(SIGPIPE, SIG_IGN); /* FCGX_Init() put a handler of its own in its place */

        struct worker w = {
                .door = door, .limits = limits, .listen_fd = listen_fd, .signal_fd = signal_fd, .done_fd = done_fd
        };
        return serve(&w);
}
