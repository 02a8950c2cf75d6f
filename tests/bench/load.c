/* SPDX-License-Identifier: MIT */
/* load - the same request by some clients at once, each on a connection of its own, and how long the answers took.
 *
 *     load [-c CLIENTS] [-n REQUESTS] [-b BODY-FILE] [-k] PORT METHOD PATH
 *
 * One line of JSON: requests, seconds, the answers' status and bytes, how many failed. And microseconds: of the median,
 * of 99 %, of the slowest, and of the median first byte of a body. -k: connections are kept alive. It is one process
 * without threads, so that on few cores little of the time is its own.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define PIECE (256 * 1024)
#define LAST_CHUNK "\r\n0\r\n\r\n"
#define CLIENTS_OF_AN_ADDRESS 100 /* as many may wait for a model */
#define PATIENCE_MS 30000

struct client {
        int fd; /* -1: no connection */
        size_t sent;
        char head[HEAD_MAX + 1];
        size_t head_len;
        bool in_body, chunked, reused;
        uint32_t source;      /* its own address */
        uint64_t left, bytes; /* of the body: UINT64_MAX until the connection ends */
        char tail[sizeof(LAST_CHUNK)];
        size_t tail_len;
        uint64_t began_us, first_us;
};

static struct {
        unsigned clients, requests, begun, done, failed, status;
        bool keep;
        uint16_t port;
        char *text; /* the whole request */
        size_t text_len;
        uint64_t bytes;
        uint64_t *whole_us, *first_us;
        int epoll;
} load = { .clients = 1, .requests = 100 };

static uint64_t now_us(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void watch(struct client *client, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = client };
        if (epoll_ctl(load.epoll, EPOLL_CTL_MOD, client->fd, &event) < 0)
                err(1, "epoll_ctl");
}

static void connect_client(struct client *client)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(load.port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct epoll_event event = { .events = EPOLLOUT, .data.ptr = client };
        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(client->source) };
        if (client->fd < 0 || bind(client->fd, (const struct sockaddr *)&source, sizeof(source)) < 0)
                err(1, "socket");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
                err(1, "port %u", load.port);
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
                err(1, "epoll_ctl");
}

static void disconnect(struct client *client)
{
        close(client->fd);
        client->fd = -1;
}

/* The next request of this client, if there are any left. */
static void begin(struct client *client)
{
        if (load.begun == load.requests) {
                if (client->fd >= 0)
                        disconnect(client);
                return;
        }
        load.begun++;
        client->sent = client->head_len = client->tail_len = 0;
        client->in_body = client->chunked = false;
        client->left = UINT64_MAX;
        client->bytes = client->first_us = 0;
        client->began_us = now_us();
        client->reused = client->fd >= 0;
        if (client->reused)
                watch(client, EPOLLOUT);
        else
                connect_client(client);
}

static void finish(struct client *client, bool whole)
{
        uint64_t ended_us = now_us();
        if (!whole && client->reused && client->head_len == 0) { /* closed before it was asked: a server may do that */
                disconnect(client);
                load.begun--;
                begin(client);
                return;
        }
        if (whole) {
                load.whole_us[load.done] = ended_us - client->began_us;
                load.first_us[load.done++] = (client->first_us ? client->first_us : ended_us) - client->began_us;
                load.bytes = client->bytes;
        } else {
                load.failed++;
        }
        if (!load.keep || !whole || (client->left == UINT64_MAX && !client->chunked))
                disconnect(client);
        begin(client);
}

static void take_body(struct client *client, const char *bytes, size_t len)
{
        if (len == 0)
                return;
        if (!client->first_us)
                client->first_us = now_us();
        client->bytes += len;
        if (!client->chunked) {
                if (client->left != UINT64_MAX)
                        client->left -= len < client->left ? len : client->left;
                return;
        }
        size_t keep = sizeof(LAST_CHUNK) - 1, add = len < keep ? len : keep;
        if (client->tail_len + add > keep) {
                size_t over = client->tail_len + add - keep;
                memmove(client->tail, client->tail + over, client->tail_len - over);
                client->tail_len -= over;
        }
        memcpy(client->tail + client->tail_len, bytes + len - add, add);
        client->tail_len += add;
        if (client->tail_len == keep && memcmp(client->tail, LAST_CHUNK, keep) == 0)
                client->left = 0;
}

/* The head ends in what was read: its last bytes may be the body's first. */
static void take_head(struct client *client)
{
        client->head[client->head_len] = 0;
        char *end = strstr(client->head, "\r\n\r\n");
        if (!end)
                return;
        size_t head = (size_t)(end - client->head) + 4;
        client->in_body = true;
        load.status = (unsigned)strtoul(client->head + strcspn(client->head, " "), NULL, 10);
        *end = 0;
        const char *length = strcasestr(client->head, "\r\ncontent-length:");
        client->chunked = strcasestr(client->head, "\r\ntransfer-encoding: chunked") != NULL;
        if (length)
                client->left = strtoull(length + strlen("\r\ncontent-length:"), NULL, 10);
        if (load.status == 204 || load.status == 304)
                client->left = 0;
        /* The end of the head stands before the first chunk, as the end of a chunk before the next. */
        memcpy(client->tail, "\r\n", 2);
        client->tail_len = 2;
        take_body(client, client->head + head, client->head_len - head);
}

static void receive(struct client *client)
{
        static char piece[PIECE];
        bool head = !client->in_body;
        ssize_t n = head ? read(client->fd, client->head + client->head_len, HEAD_MAX - client->head_len)
                         : read(client->fd, piece, sizeof(piece));
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                finish(client, n == 0 && client->in_body && !client->chunked && client->left == UINT64_MAX);
                return;
        }
        if (head) {
                client->head_len += (size_t)n;
                take_head(client);
        } else {
                take_body(client, piece, (size_t)n);
        }
        if (client->in_body && client->left == 0)
                finish(client, true);
}

static void send_more(struct client *client)
{
        ssize_t n = send(client->fd, load.text + client->sent, load.text_len - client->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n < 0) {
                finish(client, false);
                return;
        }
        client->sent += (size_t)n;
        if (client->sent == load.text_len)
                watch(client, EPOLLIN);
}

static void compose(const char *method, const char *path, const char *body_file)
{
        struct stat status = { 0 };
        int fd = body_file ? open(body_file, O_RDONLY | O_CLOEXEC) : -1;
        if (body_file && (fd < 0 || fstat(fd, &status) < 0))
                err(1, "%s", body_file);
        char *head;
        int len = asprintf(&head,
                           "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: %s\r\n"
                           "Content-Type: application/json\r\nContent-Length: %jd\r\n\r\n",
                           method, path, load.keep ? "keep-alive" : "close", (intmax_t)status.st_size);
        if (len < 0)
                err(1, "asprintf");
        load.text_len = (size_t)len + (size_t)status.st_size;
        load.text = realloc(head, load.text_len);
        if (!load.text || (fd >= 0 && read(fd, load.text + len, (size_t)status.st_size) != status.st_size))
                err(1, "%s", body_file);
        if (fd >= 0)
                close(fd);
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static uint64_t part(const uint64_t *sorted, double of)
{
        return load.done > 0 ? sorted[(size_t)((load.done - 1) * of + 0.5)] : 0;
}

static void run(void)
{
        struct client *clients = calloc(load.clients, sizeof(*clients));
        struct epoll_event events[64];
        load.whole_us = calloc(load.requests, sizeof(uint64_t));
        load.first_us = calloc(load.requests, sizeof(uint64_t));
        load.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!clients || !load.whole_us || !load.first_us || load.epoll < 0)
                err(1, "memory");
        uint64_t began_us = now_us();
        for (unsigned i = 0; i < load.clients; i++) {
                clients[i].fd = -1;
                clients[i].source = INADDR_LOOPBACK + i / CLIENTS_OF_AN_ADDRESS;
                begin(&clients[i]);
        }
        while (load.done + load.failed < load.requests) {
                int n = epoll_wait(load.epoll, events, 64, PATIENCE_MS);
                if (n == 0)
                        errx(1, "no answer within %d ms", PATIENCE_MS);
                for (int i = 0; i < n; i++) {
                        struct client *client = events[i].data.ptr;
                        if (client->sent < load.text_len)
                                send_more(client);
                        else
                                receive(client);
                }
        }
        double seconds = (double)(now_us() - began_us) / 1e6;
        qsort(load.whole_us, load.done, sizeof(uint64_t), by_size);
        qsort(load.first_us, load.done, sizeof(uint64_t), by_size);
        printf("{\"requests\": %u, \"failed\": %u, \"seconds\": %.6f, \"status\": %u, \"bytes\": %ju, \"p50_us\": %ju, "
               "\"p99_us\": %ju, \"max_us\": %ju, \"first_us\": %ju}\n",
               load.done, load.failed, seconds, load.status, (uintmax_t)load.bytes, (uintmax_t)part(load.whole_us, 0.5),
               (uintmax_t)part(load.whole_us, 0.99), (uintmax_t)part(load.whole_us, 1),
               (uintmax_t)part(load.first_us, 0.5));
}

int main(int argc, char **argv)
{
        const char *body_file = NULL;
        int option;
        while ((option = getopt(argc, argv, "c:n:b:k")) != -1) {
                switch (option) {
                case 'c':
                        load.clients = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 'n':
                        load.requests = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 'b':
                        body_file = optarg;
                        break;
                case 'k':
                        load.keep = true;
                        break;
                default:
                        return 2;
                }
        }
        if (argc - optind != 3 || load.clients == 0 || load.requests == 0)
                errx(2, "load [-c CLIENTS] [-n REQUESTS] [-b BODY-FILE] [-k] PORT METHOD PATH");
        load.port = (uint16_t)strtoul(argv[optind], NULL, 10);
        compose(argv[optind + 1], argv[optind + 2], body_file);
        run();
        return 0;
}
