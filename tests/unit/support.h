/* SPDX-License-Identifier: MIT */
/* support.h - what the unit tests share: cmocka, folders of their own, a small server.
 *
 * Errors   everything here ends the test program with a line on stderr when the machine
 *          does not play along: that is no result of a test.
 */
#ifndef HL_TESTS_UNIT_SUPPORT_H
#define HL_TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/report.h"

#include <pthread.h>

#define TEST_TIMEOUT_US (UINT64_C(10) * 1000 * 1000) /* for what must happen: a test that comes so far is broken */

/* Ends the program where a call of the test's own fails. */
#define must(condition) test_must((condition), #condition, __FILE__, __LINE__)
void test_must(bool condition, const char *text, const char *file, int line);

uint64_t test_deadline(void); /* TEST_TIMEOUT_US from now */

/* A fresh folder, which CONFIGURATION_DIRECTORY, STATE_DIRECTORY, MODELS_CONFIG_DIR (its "models"), HL_READY_DIRECTORY
 * (its "ready") and HL_TURNSTILE_DIRECTORY (its "turnstile") name while it is there. For cmocka's setup and teardown;
 * *state is its path. */
int test_folder_setup(void **state);
int test_folder_teardown(void **state);

/* A file below a folder; missing folders are made. test_path() gives one of a few static buffers. */
const char *test_path(const char *folder, const char *name);
void test_write(const char *folder, const char *name, const char *text);
char *test_read(const char *path); /* free(); NULL where there is none */

/* Findings, as text: "FILE:LINE: KEY: MESSAGE\n"…; FILE without its folder. data is a struct hl_buf *. */
void test_note_finding(void *data, const char *file, unsigned line, const char *key, const char *message);

/* True once `text` is in the buffer. */
bool test_contains(const struct hl_buf *buf, const char *text);

/* A listening socket on loopback with a port of the kernel's choice. */
int test_listen(uint16_t *ret_port);
int test_connect(uint16_t port);

/* A connection to a port of its own, so that each can be asked about alone. */
struct test_connection {
        int listener, client, server;
        uint16_t port;
};

struct test_connection test_open_connection(void);
void test_close_connection(const struct test_connection *c);

/* Reads until the other side has closed, or TEST_TIMEOUT_US went by (then false). */
bool test_read_all(int fd, struct hl_buf *buf);

#endif
