/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void test_must(bool condition, const char *text, const char *file, int line)
{
        if (condition)
                return;
        fprintf(stderr, "%s:%d: the test cannot go on: %s (%m)\n", file, line, text);
        abort();
}

uint64_t test_deadline(void)
{
        return hl_clock_monotonic() + TEST_TIMEOUT_US;
}

int test_folder_setup(void **state)
{
        char *path = hl_strdup("/tmp/home-lab-test.XXXXXX");
        must(mkdtemp(path) != NULL);
        *state = path;
        must(mkdir(test_path(path, "models"), 0755) == 0 && mkdir(test_path(path, "activity"), 0755) == 0 &&
             mkdir(test_path(path, "ready"), 0755) == 0 && mkdir(test_path(path, "turnstile"), 0755) == 0);
        must(setenv("CONFIGURATION_DIRECTORY", path, 1) == 0 && setenv("STATE_DIRECTORY", path, 1) == 0 &&
             setenv("MODELS_CONFIG_DIR", test_path(path, "models"), 1) == 0 &&
             setenv("HL_READY_DIRECTORY", test_path(path, "ready"), 1) == 0 &&
             setenv("HL_TURNSTILE_DIRECTORY", test_path(path, "turnstile"), 1) == 0 &&
             setenv("HL_QUEUE_DIRECTORY", test_path(path, "queue"), 1) == 0);
        return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
        (void)status;
        (void)type;
        (void)walk;
        return remove(path);
}

int test_folder_teardown(void **state)
{
        unsetenv("CONFIGURATION_DIRECTORY");
        unsetenv("STATE_DIRECTORY");
        unsetenv("MODELS_CONFIG_DIR");
        unsetenv("HL_READY_DIRECTORY");
        unsetenv("HL_TURNSTILE_DIRECTORY");
        unsetenv("HL_QUEUE_DIRECTORY");
        must(nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
        free(*state);
        return 0;
}

const char *test_path(const char *folder, const char *name)
{
        static char paths[8][512];
        static unsigned next;
        char *path = paths[next++ % HL_COUNT(paths)];
        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

void test_write(const char *folder, const char *name, const char *text)
{
        const char *path = test_path(folder, name);
        FILE *file = fopen(path, "w");
        must(file != NULL);
        must(fputs(text, file) >= 0 && fclose(file) == 0);
}

char *test_read(const char *path)
{
        struct hl_buf buf = { 0 };
        hl_buf_add(&buf, "", 0);
        if (hl_read_file(AT_FDCWD, path, SIZE_MAX, &buf) == 0)
                return buf.data;
        hl_buf_free(&buf);
        return NULL;
}

void test_note_finding(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        const char *slash = strrchr(file, '/');
        hl_buf_addf(data, "%s:%u: %s: %s\n", slash ? slash + 1 : file, line, key, message);
}

bool test_contains(const struct hl_buf *buf, const char *text)
{
        return buf->data && memmem(buf->data, buf->len, text, strlen(text));
}

int test_listen(uint16_t *ret_port)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 64) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &len) == 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

int test_connect(uint16_t port)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        return fd;
}

struct test_connection test_open_connection(void)
{
        struct test_connection c;
        c.listener = test_listen(&c.port);
        c.client = test_connect(c.port);
        c.server = accept(c.listener, NULL, NULL);
        must(c.server >= 0);
        return c;
}

void test_close_connection(const struct test_connection *c)
{
        close(c->client);
        close(c->server);
        close(c->listener);
}

bool test_read_all(int fd, struct hl_buf *buf)
{
        uint64_t deadline_us = test_deadline();
        hl_buf_add(buf, "", 0);
        for (;;) {
                char bytes[4096];
                if (hl_wait_fd(fd, POLLIN, deadline_us) <= 0)
                        return false;
                ssize_t n = read(fd, bytes, sizeof(bytes));
                if (n <= 0)
                        return n == 0 || errno == ECONNRESET;
                hl_buf_add(buf, bytes, (size_t)n);
        }
}
