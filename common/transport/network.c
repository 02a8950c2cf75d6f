/* SPDX-License-Identifier: MIT */
#include "network.h"

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "inetd.h"
#include "listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NETWORK_BYTES 8 /* of an address of IPv6: one machine has all that begin so */

/* The port's in units/templates/service.socket.in, with a worker's times. */
const struct hl_network_limits hl_network_limits = {
        .first_us = HL_USEC_PER_SEC,
        .idle_us = 30 * HL_USEC_PER_SEC,
        .drain_us = 20 * HL_USEC_PER_SEC,
        .connection_seconds = 3800,
        .connections_max = 128,
        .source_max = 48,
};

struct connection {
        pid_t pid;
        struct hl_endpoint client;
};

struct network {
        const struct hl_network_limits *limits;
        int listen_fd, signal_fd;
        int stop_fd; /* an eventfd: readable once SIGTERM came */
        struct connection *connections;
        unsigned count;
        bool served, stopping;
        uint64_t since_us; /* when the last connection was taken or ended, or SIGTERM came */
        uint64_t rests_until_us;
};

static bool is_same_source(const struct hl_endpoint *a, const struct hl_endpoint *b)
{
        return memcmp(a->address, b->address, hl_endpoint_is_v4(a) ? sizeof(a->address) : NETWORK_BYTES) == 0;
}

static bool has_room(const struct network *n, const struct hl_endpoint *client)
{
        unsigned of_source = 0;
        for (unsigned i = 0; i < n->count; i++)
                of_source += is_same_source(&n->connections[i].client, client);
        return n->count < n->limits->connections_max && of_source < n->limits->source_max;
}

/* A connection that is too many is closed: its client may try again. */
static int take(struct network *n, struct hl_endpoint *ret_client)
{
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof(address);
        bool rest;
        int fd = hl_listener_accept(n->listen_fd, &rest);
        if (rest)
                n->rests_until_us = hl_clock_monotonic() + HL_LISTENER_REST_US;
        if (fd < 0)
                return -1;
        n->served = true;
        n->since_us = hl_clock_monotonic();
        if (getpeername(fd, (struct sockaddr *)&address, &len) == 0) {
                *ret_client = hl_endpoint_of((struct sockaddr *)&address);
                if (has_room(n, ret_client))
                        return fd;
        }
        close(fd);
        return -1;
}

/* In the process of the connection true, and it is all that the process has. */
static bool start(struct network *n, int fd, const struct hl_endpoint *client)
{
        pid_t pid = fork();
        if (pid == 0)
                return true;
        close(fd);
        if (pid > 0)
                n->connections[n->count++] = (struct connection){ pid, *client };
        return false;
}

static void forget_those_that_ended(struct network *n)
{
        for (pid_t pid = waitpid(-1, NULL, WNOHANG); pid > 0; pid = waitpid(-1, NULL, WNOHANG))
                for (unsigned i = 0; i < n->count; i++)
                        if (n->connections[i].pid == pid) {
                                n->connections[i] = n->connections[--n->count];
                                n->since_us = n->stopping ? n->since_us : hl_clock_monotonic();
                                break;
                        }
}

static void heed_signals(struct network *n)
{
        struct signalfd_siginfo info;
        while (read(n->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                if (info.ssi_signo == SIGTERM && !n->stopping) {
                        n->stopping = true;
                        n->since_us = hl_clock_monotonic();
                        eventfd_write(n->stop_fd, 1);
                }
        forget_those_that_ended(n);
}

/* For how long nothing may happen; HL_USEC_INFINITY: for ever. */
static uint64_t patience(const struct network *n)
{
        if (n->stopping)
                return n->limits->drain_us;
        return n->count > 0 ? HL_USEC_INFINITY : n->served ? n->limits->idle_us : n->limits->first_us;
}

/* The next connection, in a process of its own; -1 in the process that takes them, at its end. */
static int next_connection(struct network *n)
{
        n->since_us = hl_clock_monotonic();
        while (!n->stopping || n->count > 0) {
                uint64_t now_us = hl_clock_monotonic(), limit_us = patience(n);
                uint64_t left_us = hl_us_minus(limit_us, now_us - n->since_us);
                bool rests = now_us < n->rests_until_us;
                struct pollfd fds[] = { { .fd = n->signal_fd, .events = POLLIN },
                                        { .fd = n->stopping || rests ? -1 : n->listen_fd, .events = POLLIN } };
                if (left_us == 0)
                        break;
                if (rests && n->rests_until_us - now_us < left_us)
                        left_us = n->rests_until_us - now_us;
                const struct timespec left = hl_timespec_of(left_us);
                if (ppoll(fds, HL_COUNT(fds), limit_us == HL_USEC_INFINITY && !rests ? NULL : &left, NULL) <= 0)
                        continue;
                if (fds[0].revents)
                        heed_signals(n);
                struct hl_endpoint client;
                int fd = fds[1].revents && !n->stopping ? take(n, &client) : -1;
                if (fd >= 0 && start(n, fd, &client))
                        return fd;
        }
        return -1;
}

int hl_network_serve(int listen_fd, const struct hl_network_limits *limits, const struct hl_server *server)
{
        sigset_t signals, former;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGCHLD);
        signal(SIGCHLD, SIG_DFL); /* where it was inherited as ignored nobody could be waited for */
        sigprocmask(SIG_BLOCK, &signals, &former);
        HL_CLEANUP(hl_close_fd) int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        HL_CLEANUP(hl_close_fd) int stop_fd = eventfd(0, EFD_CLOEXEC);
        HL_CLEANUP(hl_free_pointer)
        struct connection *connections = hl_alloc(limits->connections_max * sizeof(*connections));
        if (signal_fd < 0 || stop_fd < 0)
                return -errno;
        struct network n = { .limits = limits,
                             .listen_fd = listen_fd,
                             .signal_fd = signal_fd,
                             .stop_fd = stop_fd,
                             .connections = connections };
        HL_CLEANUP(hl_close_fd) int fd = next_connection(&n);
        if (fd >= 0) {
                dup2(fd, listen_fd); /* as it is in a process of systemd's */
                sigprocmask(SIG_SETMASK, &former, NULL);
                alarm(limits->connection_seconds);
                hl_inetd_serve(fd, &hl_inetd_limits, stop_fd, server);
        } else if (n.count > 0) {
                hl_log(LOG_WARNING, NULL, "told to stop: cuts off connections that take too long (%u)", n.count);
        } else {
                hl_log_status("ended by itself: a connection to its socket starts it");
        }
        return 0;
}
