/* SPDX-License-Identifier: MIT */
/* model-idle-sweep/host_door: a sweep asks who may switch off the host. */
#include "support.h"

#include "base/mem.h"
#include "base/str.h"
#include "model-idle-sweep/host_door.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AT_US 77

static struct hl_host_seen heard; /* by who answers */
static bool heard_something;

static uint64_t decide(const struct hl_host_seen *seen)
{
        heard_something = seen != NULL;
        heard = seen ? *seen : (struct hl_host_seen){ 0 };
        return AT_US;
}

static void *answer_once(void *listener)
{
        hl_host_answer(*(int *)listener, decide);
        return NULL;
}

static void *hang_up(void *listener)
{
        close(accept(*(int *)listener, NULL, NULL));
        return NULL;
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 4) == 0);
        return fd;
}

static void what_was_seen_goes_there_and_what_is_scheduled_comes_back(void **state)
{
        static const struct hl_host_seen seen = { .used_us = 5, .resumed_us = UINT64_MAX };
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/socket", (char *)*state);
        HL_CLEANUP(hl_close_fd) int listener = listen_at(path);
        for (int i = 0; i < 2; i++) {
                struct hl_err err = { 0 };
                uint64_t at_us = 0;
                pthread_t thread;
                must(pthread_create(&thread, NULL, answer_once, &listener) == 0);
                assert_int_equal(hl_host_ask(path, i == 0 ? &seen : NULL, &at_us, &err), 0);
                must(pthread_join(thread, NULL) == 0);
                assert_true(at_us == AT_US && heard_something == (i == 0));
                assert_true(i == 1 || (heard.used_us == 5 && heard.resumed_us == UINT64_MAX));
        }
}

/* Neither less nor more than a whole packet is believed. */
static void anything_else_is_seen_as_nothing(void **state)
{
        static const size_t sizes[] = { 1, sizeof(struct hl_host_seen) - 1, sizeof(struct hl_host_seen) + 1, 4096 };
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/socket", (char *)*state);
        HL_CLEANUP(hl_close_fd) int listener = listen_at(path);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char bytes[4096] = { 0 };
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        for (size_t i = 0; i < HL_COUNT(sizes); i++) {
                HL_CLEANUP(hl_close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
                must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
                must(send(fd, bytes, sizes[i], 0) == (ssize_t)sizes[i]);
                heard_something = true;
                hl_host_answer(listener, decide);
                assert_false(heard_something);
        }
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && close(fd) == 0);
        heard_something = true;
        hl_host_answer(listener, decide); /* who has hung up */
        assert_false(heard_something);
}

static void who_does_not_answer_is_told(void **state)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/socket", (char *)*state);
        struct hl_err err = { 0 };
        uint64_t at_us = 1;
        pthread_t thread;
        assert_int_equal(hl_host_ask(path, NULL, &at_us, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_BUSY);
        HL_CLEANUP(hl_close_fd) int listener = listen_at(path);
        must(pthread_create(&thread, NULL, hang_up, &listener) == 0);
        assert_true(hl_host_ask(path, NULL, &at_us, &(struct hl_err){ 0 }) < 0);
        must(pthread_join(thread, NULL) == 0);
        assert_int_equal(at_us, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_was_seen_goes_there_and_what_is_scheduled_comes_back,
                                                test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(anything_else_is_seen_as_nothing, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(who_does_not_answer_is_told, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests_name("host door", tests, NULL, NULL);
}
