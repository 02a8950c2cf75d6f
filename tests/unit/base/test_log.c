/* SPDX-License-Identifier: MIT */
/* base/log: what the journal is sent, and that nobody waits for it. The test is the journal: tests/tests.mk, --wrap. */
#include "support.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct hl_buf sent;
static unsigned lines;
static bool takes = true;
static int last_flags;

int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
        (void)path, (void)mode;
        return 0;
}

ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
        (void)fd, (void)to, (void)to_len;
        last_flags = flags;
        lines++;
        if (!takes) {
                errno = EAGAIN;
                return -1;
        }
        hl_buf_free(&sent);
        hl_buf_add(&sent, bytes, len);
        return (ssize_t)len;
}

static void a_line_in_journalds_protocol(void **state)
{
        (void)state;
        static const char wanted[] = "MESSAGE\n\x0C\0\0\0\0\0\0\0two\nlines: 2\n"
                                     "PRIORITY=4\nSYSLOG_IDENTIFIER=test\nHL_B=b\n";
        const struct hl_log_field fields[] = { { "HL_A", NULL }, { "HL_B", "b" }, { NULL, NULL } };
        hl_log(LOG_WARNING, fields, "two\nlines: %d", 2);
        assert_int_equal(sent.len, sizeof(wanted) - 1);
        assert_memory_equal(sent.data, wanted, sent.len);
        hl_buf_free(&sent);
}

static void what_units_drop_is_not_sent(void **state)
{
        (void)state;
        lines = 0;
        hl_log(LOG_INFO, NULL, "nobody reads this");
        hl_log(LOG_DEBUG, NULL, "nor this");
        assert_int_equal(lines, 0);
        hl_log(LOG_NOTICE, NULL, "but this");
        assert_int_equal(lines, 1);
        hl_buf_free(&sent);
}

static void a_journal_that_hangs_is_waited_for_once(void **state)
{
        (void)state;
        takes = false;
        hl_log(LOG_ERR, NULL, "first");
        assert_false(last_flags & MSG_DONTWAIT);
        for (int i = 0; i < 3; i++) {
                hl_log(LOG_ERR, NULL, "more");
                assert_true(last_flags & MSG_DONTWAIT);
        }
        takes = true;
        hl_log(LOG_ERR, NULL, "taken");
        hl_log(LOG_ERR, NULL, "and so the next may wait");
        assert_false(last_flags & MSG_DONTWAIT);
        hl_buf_free(&sent);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_in_journalds_protocol),
                cmocka_unit_test(what_units_drop_is_not_sent),
                cmocka_unit_test(a_journal_that_hangs_is_waited_for_once),
        };
        hl_log_open("test");
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
