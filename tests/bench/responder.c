/* SPDX-License-Identifier: MIT */
/* responder - the least that a FastCGI program can be: "responder SOCKET LENGTH" gives everybody so many bytes.
 *
 * It looks at nothing of a request but its end, works out nothing, and keeps connections where the web server wishes.
 * What a request to it costs is the web server's share of each answer by FastCGI. "responder SOCKET LENGTH bus" asks
 * systemd before each answer: what no program can do without whose answers say what runs.
 */
#include "bus_call.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RECORD_MAX 65528 /* bytes of content, in whole eights */
#define REQUEST_MAX 65536
#define HEADER 8 /* bytes of a record */

enum { END_REQUEST = 3, STDIN = 5, STDOUT = 6 };

static struct {
        char *bytes;
        size_t len;
} answer;

static void add(const char *bytes, size_t len)
{
        answer.bytes = realloc(answer.bytes, answer.len + len);
        if (!answer.bytes)
                err(1, "the answer");
        memcpy(answer.bytes + answer.len, bytes, len);
        answer.len += len;
}

static void add_record(int type, const char *content, size_t len)
{
        const char header[HEADER] = { 1, (char)type, 0, 1, (char)(len >> 8), (char)len, 0, 0 };
        add(header, sizeof(header));
        add(content, len);
}

/* HEADERS in the environment are more of them, each with its line break. */
static void make_answer(size_t len)
{
        static const char usual[] = "Content-Type: application/json";
        const char *headers = getenv("HEADERS") ? getenv("HEADERS") : "";
        char *text = calloc(1, len + strlen(headers) + 128);
        if (!text)
                err(1, "the answer");
        size_t left = (size_t)sprintf(text, "%s\r\nContent-Length: %zu\r\n%s\r\n", usual, len, headers) + len;
        memset(text + left - len, 'x', len);
        for (const char *next = text; left > 0;) {
                size_t piece = left < RECORD_MAX ? left : RECORD_MAX;
                add_record(STDOUT, next, piece);
                next += piece;
                left -= piece;
        }
        add_record(STDOUT, "", 0);
        add_record(END_REQUEST, "\0\0\0\0\0\0\0", 8);
        free(text);
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(address.sun_path))
                errx(2, "%s is too long", path);
        strcpy(address.sun_path, path);
        unlink(path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0 ||
            chmod(path, 0666) < 0)
                err(1, "%s", path);
        return fd;
}

static void watch(int epoll, int fd)
{
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                err(1, "epoll");
}

/* Reads to the record that ends a request: an empty one of its body. 0: the web server has gone. */
static ssize_t read_request(int fd, bool *ret_keep)
{
        static const char end[HEADER] = { 1, STDIN, 0, 1 };
        static char bytes[REQUEST_MAX];
        ssize_t len = read(fd, bytes, sizeof(bytes));
        *ret_keep = len > 10 && bytes[10];
        while (len >= HEADER && memcmp(bytes + len - HEADER, end, HEADER) != 0) {
                memmove(bytes, bytes + len - HEADER, HEADER); /* the record may come in two pieces */
                ssize_t more = read(fd, bytes + HEADER, sizeof(bytes) - HEADER);
                len = more > 0 ? HEADER + more : 0;
        }
        return len;
}

static void serve(int fd, sd_bus *bus)
{
        bool keep;
        ssize_t len = read_request(fd, &keep);
        if (bus && len > 0)
                bus_call(bus);
        for (size_t sent = 0; len > 0 && sent < answer.len;) {
                ssize_t n = write(fd, answer.bytes + sent, answer.len - sent);
                if (n <= 0)
                        len = 0;
                sent += n > 0 ? (size_t)n : 0;
        }
        if (len <= 0 || !keep)
                close(fd);
}

int main(int argc, char **argv)
{
        if (argc != 3 && (argc != 4 || strcmp(argv[3], "bus") != 0))
                errx(2, "responder SOCKET LENGTH [bus]");
        sd_bus *bus = argc == 4 ? bus_open() : NULL;
        make_answer(strtoul(argv[2], NULL, 10));
        int listener = listen_at(argv[1]), epoll = epoll_create1(0);
        watch(epoll, listener);
        for (;;) {
                struct epoll_event event;
                if (epoll_wait(epoll, &event, 1, -1) != 1)
                        continue;
                if (event.data.fd == listener)
                        watch(epoll, accept(listener, NULL, NULL));
                else
                        serve(event.data.fd, bus);
        }
}
