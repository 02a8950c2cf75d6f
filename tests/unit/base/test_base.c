/* SPDX-License-Identifier: MIT */
/* base/: err, buf, str, io, clock. */
#include "support.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/listing.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static void err_keeps_the_first(void **state)
{
        (void)state;
        struct hl_err err = { 0 };
        assert_int_equal(hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "first", "no %s", "model"), -ENOENT);
        assert_int_equal(hl_fail(&err, HL_ERR_INTERNAL, EIO, "second", "later"), -EIO);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
        assert_int_equal(err.errnum, ENOENT);
        assert_string_equal(err.code, "first");
        assert_string_equal(err.message, "no model");
}

static void err_cuts_a_long_message(void **state)
{
        (void)state;
        struct hl_err err = { 0 };
        char text[2 * HL_ERR_MESSAGE_MAX];
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        hl_fail(&err, HL_ERR_INVALID, EINVAL, "long", "%s", text);
        assert_int_equal(strlen(err.message), HL_ERR_MESSAGE_MAX - 1);
}

static void each_kind_has_its_exit_status(void **state)
{
        (void)state;
        static const struct {
                enum hl_err_kind kind;
                int status;
        } statuses[] = {
                { HL_ERR_NONE, EX_OK },           { HL_ERR_INVALID, EX_USAGE },      { HL_ERR_UNSUPPORTED, EX_USAGE },
                { HL_ERR_FORBIDDEN, EX_NOPERM },  { HL_ERR_NOT_FOUND, EX_NOINPUT },  { HL_ERR_CONFLICT, EX_DATAERR },
                { HL_ERR_TOO_LARGE, EX_DATAERR }, { HL_ERR_UPSTREAM, EX_SOFTWARE },  { HL_ERR_BUSY, EX_TEMPFAIL },
                { HL_ERR_TIMEOUT, EX_TEMPFAIL },  { HL_ERR_CANCELLED, EX_TEMPFAIL }, { HL_ERR_INTERNAL, EX_CONFIG },
        };
        for (size_t i = 0; i < HL_COUNT(statuses); i++)
                assert_int_equal(hl_exit_status(statuses[i].kind), statuses[i].status);
}

static void buf_grows_up_to_its_limit(void **state)
{
        (void)state;
        struct hl_buf buf = { .max = 1000 };
        for (int i = 0; i < 1000; i++)
                assert_int_equal(hl_buf_add(&buf, "x", 1), 0);
        assert_int_equal(hl_buf_add(&buf, "y", 1), -EMSGSIZE);
        assert_int_equal(hl_buf_addf(&buf, "%d", 1), -EMSGSIZE);
        assert_int_equal(hl_buf_adds(&buf, ""), 0);
        assert_int_equal(hl_buf_add(&buf, "y", SIZE_MAX), -EMSGSIZE);
        assert_int_equal(buf.len, 1000);
        assert_int_equal(strlen(buf.data), 1000);
        hl_buf_free(&buf);
        assert_int_equal(buf.max, 1000);
        assert_null(buf.data);
}

static void buf_without_limit_refuses_overflow(void **state)
{
        (void)state;
        struct hl_buf buf = { 0 };
        assert_int_equal(hl_buf_adds(&buf, "abc"), 0);
        assert_int_equal(hl_buf_add(&buf, "x", SIZE_MAX - 2), -EMSGSIZE);
        assert_int_equal(buf.len, 3);
        hl_buf_free(&buf);
}

static void buf_drops_from_the_front(void **state)
{
        (void)state;
        struct hl_buf buf = { 0 };
        hl_buf_drop(&buf, 0);
        hl_buf_adds(&buf, "abcdef");
        hl_buf_drop(&buf, 2);
        assert_string_equal(buf.data, "cdef");
        hl_buf_drop(&buf, 4);
        assert_int_equal(buf.len, 0);
        assert_string_equal(buf.data, "");
        hl_buf_free(&buf);
}

static void buf_is_trimmed_at_its_end(void **state)
{
        (void)state;
        struct hl_buf buf = { 0 };
        hl_buf_trim(&buf, "\n");
        hl_buf_adds(&buf, "\na b\r\n\n");
        hl_buf_trim(&buf, "\r\n");
        assert_string_equal(buf.data, "\na b");
        assert_int_equal(buf.len, 4);
        hl_buf_add(&buf, "", 1);
        hl_buf_trim(&buf, "b"); /* a NUL is a byte like any other */
        assert_int_equal(buf.len, 5);
        hl_buf_free(&buf);
}

static void parse_uint_takes_all_or_nothing(void **state)
{
        (void)state;
        uint64_t value = 7;
        static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1e3", "12x", "\xd9\xa1" };
        for (size_t i = 0; i < HL_COUNT(wrong); i++)
                assert_int_equal(hl_parse_uint(wrong[i], 1000, &value), -EINVAL);
        assert_int_equal(hl_parse_uint("1001", 1000, &value), -ERANGE);
        assert_int_equal(hl_parse_uint("9", 5, &value), -ERANGE);
        assert_int_equal(hl_parse_uint("18446744073709551616", UINT64_MAX, &value), -ERANGE);
        assert_int_equal(hl_parse_uint("99999999999999999999999", UINT64_MAX, &value), -ERANGE);
        assert_int_equal(value, 7);
        assert_int_equal(hl_parse_uint("1000", 1000, &value), 0);
        assert_int_equal(value, 1000);
        assert_int_equal(hl_parse_uint("007", 1000, &value), 0);
        assert_int_equal(value, 7);
        assert_int_equal(hl_parse_uint("18446744073709551615", UINT64_MAX, &value), 0);
        assert_true(value == UINT64_MAX);
        assert_int_equal(hl_parse_uint("0", 0, &value), 0);
        assert_int_equal(value, 0);
}

static void utf8_as_rfc_3629(void **state)
{
        (void)state;
        static const char *const valid[] = { "",
                                             "a",
                                             "\xC2\x80",
                                             "\xDF\xBF",
                                             "\xE0\xA0\x80",
                                             "\xED\x9F\xBF",
                                             "\xEF\xBF\xBF",
                                             "\xF0\x90\x80\x80",
                                             "\xF4\x8F\xBF\xBF" };
        static const char *const invalid[] = {
                "\x80",          "\xC0\x80",         "\xC1\xBF",         "\xC2",
                "\xC2\x41",      "\xE0\x9F\xBF",     "\xED\xA0\x80",     "\xE2\x82",
                "\xFF",          "\xF5\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                "ab\xF0\x90\x80"
        };
        for (size_t i = 0; i < HL_COUNT(valid); i++)
                assert_true(hl_utf8_valid(valid[i], strlen(valid[i])));
        for (size_t i = 0; i < HL_COUNT(invalid); i++)
                assert_false(hl_utf8_valid(invalid[i], strlen(invalid[i])));
        assert_false(hl_utf8_valid("\xC3\xA9", 1)); /* cut off in the middle */
}

static void percent_decoding_refuses_what_is_no_text(void **state)
{
        (void)state;
        char *text = NULL;
        static const char *const wrong[] = { "%", "a%4", "%zz", "%4g", "%00", "a%00b", "%FF", "%C3", "%C0%80" };
        for (size_t i = 0; i < HL_COUNT(wrong); i++)
                assert_int_equal(hl_percent_decode(wrong[i], strlen(wrong[i]), &text), -EINVAL);
        assert_null(text);
        assert_int_equal(hl_percent_decode("a%2Fb%c3%a9+%25", 15, &text), 0);
        assert_string_equal(text, "a/b\xC3\xA9+%");
        free(text);
        assert_int_equal(hl_percent_decode("abc", 2, &text), 0);
        assert_string_equal(text, "ab");
        free(text);
        assert_int_equal(hl_percent_decode("a\0b", 3, &text), -EINVAL);
}

static void a_copy_is_cut_where_it_does_not_fit(void **state)
{
        (void)state;
        char to[4] = "xxx";
        hl_copy(to, sizeof(to), "");
        assert_string_equal(to, "");
        hl_copy(to, sizeof(to), "abc");
        assert_string_equal(to, "abc");
        hl_copy(to, sizeof(to), "abcd");
        assert_string_equal(to, "abc");
}

static void small_text_functions(void **state)
{
        (void)state;
        assert_true(hl_equal_secret("abc", "abc"));
        assert_false(hl_equal_secret("abc", "abd"));
        assert_false(hl_equal_secret("abc", "ab"));
        assert_false(hl_equal_secret("abc", "abcd"));
        assert_true(hl_equal_secret("", ""));
        assert_true(hl_has_prefix("unix:", "unix:"));
        assert_false(hl_has_prefix("uni", "unix:"));
        assert_true(hl_in_list("read,control,power", "control", 7));
        assert_true(hl_in_list("read,control,power", "power", 5));
        assert_false(hl_in_list("read,control,power", "contro", 6));
        assert_false(hl_in_list("read,control,power", "read,control", 12));
        assert_false(hl_in_list("read", "", 0));
        assert_false(hl_in_list(NULL, "x", 1));
        char text[] = "a\nb\x7f\x1b[0m\t\xC3\xA9";
        hl_make_printable(text);
        assert_string_equal(text, "a?b??[0m?\xC3\xA9");
}

static void what_steers_a_terminal_is_not_printed(void **state)
{
        (void)state;
        static const char *const orders[] = { "\t",           "\n",           "\x1b[31m",     "\x7f",
                                              "\xC2\x85",     "\xC2\x9B",     "\xC2\x9D",     "\xE2\x80\xA8",
                                              "\xE2\x80\xA9", "\xE2\x80\xAA", "\xE2\x80\xAE", "\xE2\x81\xA6",
                                              "\xE2\x81\xA9", "\x9B",         "\xE2\x80" };
        for (size_t i = 0; i < HL_COUNT(orders); i++) {
                HL_CLEANUP(hl_free_pointer) char *text = hl_format("a%sz\xC3\xA9", orders[i]);
                assert_false(hl_is_printable(text));
                hl_make_printable(text);
                assert_true(hl_is_printable(text));
                assert_true(hl_has_prefix(text, "a?"));
                assert_string_equal(text + strlen(text) - 3, "z\xC3\xA9");
        }
        assert_true(hl_is_printable(""));
        /* An umlaut, a no-break space, a mark of direction that words of a line may need, a picture. */
        assert_true(hl_is_printable("\xC3\xA9 \xC2\xA0 \xE2\x80\x8F \xF0\x9F\x98\x80"));
}

static void wait_fd_and_its_deadline(void **state)
{
        (void)state;
        int pipe_fds[2];
        must(pipe(pipe_fds) == 0);
        assert_int_equal(hl_wait_fd(pipe_fds[0], POLLIN, 0), 0);
        assert_int_equal(hl_wait_fd(pipe_fds[0], POLLIN, hl_clock_monotonic() + 2000), 0);
        assert_int_equal(hl_wait_fd(pipe_fds[1], POLLOUT, test_deadline()), 1);
        must(write(pipe_fds[1], "x", 1) == 1);
        assert_int_equal(hl_wait_fd(pipe_fds[0], POLLIN, test_deadline()), 1);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

static void write_all_and_its_deadline(void **state)
{
        (void)state;
        int pipe_fds[2];
        char bytes[1 << 18] = { 0 };
        must(pipe2(pipe_fds, O_NONBLOCK) == 0);
        assert_int_equal(hl_write_all(pipe_fds[1], "abc", 3, test_deadline()), 0);
        must(read(pipe_fds[0], bytes, sizeof(bytes)) == 3);
        assert_memory_equal(bytes, "abc", 3);
        /* More than a pipe holds, and nobody reads. */
        assert_int_equal(hl_write_all(pipe_fds[1], bytes, sizeof(bytes), hl_clock_monotonic() + 20000), -ETIMEDOUT);
        close(pipe_fds[0]);
        must(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
        assert_int_equal(hl_write_all(pipe_fds[1], "abc", 3, test_deadline()), -EPIPE);
        close(pipe_fds[1]);
}

static void read_file_and_its_errors(void **state)
{
        struct hl_buf buf = { 0 };
        char large[10001];
        memset(large, 'x', sizeof(large) - 1);
        large[sizeof(large) - 1] = '\0';
        test_write(*state, "large", large);
        test_write(*state, "empty", "");
        must(mkfifo(test_path(*state, "pipe"), 0600) == 0);
        int folder = open(*state, O_RDONLY | O_DIRECTORY);
        assert_int_equal(hl_read_file(folder, "large", 10000, &buf), 0);
        assert_int_equal(buf.len, 10000);
        hl_buf_free(&buf);
        assert_int_equal(hl_read_file(folder, "large", 9999, &buf), -EFBIG);
        hl_buf_free(&buf);
        assert_int_equal(hl_read_file(folder, "empty", 0, &buf), 0);
        assert_int_equal(buf.len, 0);
        assert_int_equal(hl_read_file(folder, "absent", 10, &buf), -ENOENT);
        assert_int_equal(hl_read_file(folder, "models", 10, &buf), -EISDIR);
        assert_int_equal(hl_read_file(folder, "pipe", 10, &buf), -EINVAL); /* and does not hang */
        hl_buf_free(&buf);
        close(folder);
}

static void replace_file_as_a_whole(void **state)
{
        struct stat status;
        const char *path = test_path(*state, "file");
        assert_int_equal(hl_replace_file(path, "one", 3, 0640, (gid_t)-1), 0);
        int old = open(path, O_RDONLY);
        assert_int_equal(hl_replace_file(path, "second", 6, 0600, (gid_t)-1), 0);
        char bytes[16] = "";
        must(read(old, bytes, sizeof(bytes)) == 3); /* who has the old one open still reads the old one */
        close(old);
        char *text = test_read(path);
        assert_string_equal(text, "second");
        free(text);
        must(stat(path, &status) == 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        assert_int_equal(hl_replace_file(test_path(*state, "no/such/folder"), "x", 1, 0600, (gid_t)-1), -ENOENT);
        /* A folder in the way: nothing is left behind. */
        assert_true(hl_replace_file(test_path(*state, "models"), "x", 1, 0600, (gid_t)-1) < 0);
        must(rmdir(test_path(*state, "ready")) == 0 && rmdir(test_path(*state, "models")) == 0 &&
             rmdir(test_path(*state, "activity")) == 0 && rmdir(test_path(*state, "turnstile")) == 0 &&
             unlink(path) == 0);
        must(rmdir(*state) == 0 && mkdir(*state, 0700) == 0);
}

static void visible_text_has_no_blank_and_no_control(void **state)
{
        (void)state;
        assert_true(hl_utf8_visible("a/b-c:~%{}\"\\"));
        assert_true(hl_utf8_visible("\xC2\xA1\xC3\xA8\xE6\xA8\xA1\xF0\x9F\xA6\x99"));
        static const char *const unseen[] = { "",
                                              " ",
                                              "a b",
                                              "\t",
                                              "a\n",
                                              "\x7F",
                                              "\xC2\x80",
                                              "\xC2\xA0",
                                              "\xE2\x80\x8D",
                                              "\xE2\x81\xA0",
                                              "\xEF\xB8\x8F",
                                              "\xEF\xBF\xBF",
                                              "\xF3\xA0\x80\xA0",
                                              "\xC3",
                                              "a\xC0\x80" };
        for (size_t i = 0; i < HL_COUNT(unseen); i++)
                if (hl_utf8_visible(unseen[i]))
                        fail_msg("%zu", i);
}

/* The unit tests run in Berlin's time: +01:00, and +02:00 from 29 March to 25 October 2026. */
static void times_as_people_write_them(void **state)
{
        static const struct {
                const char *text, *same;
        } times[] = {
                { "2026-01-31T23:00:00", "2026-01-31T23:00:00+01:00" },
                { "2026-07-31 23:00", "2026-07-31T23:00:00+02:00" },
                { "2026-07-31t23:00:00.123456", "2026-07-31T21:00:00.123456Z" },
                { "2026-07-31 23:00Z", "2026-07-31T23:00:00Z" },
                { "2026-07-31 23:00:00.5+0530", "2026-07-31T17:30:00.5Z" },
                { "2026-07-31T23:00-03", "2026-08-01T02:00:00Z" },
                { " 2026-07-31 23:00 ", "2026-07-31T23:00:00+02:00" },
                { "\n2026-07-31T23:00Z\n", "2026-07-31T23:00:00Z" },
                { "2026-07-31 23:00:00 +0530", "2026-07-31T17:30:00Z" }, /* date +'%F %T %z', Ruby, Go */
                { "2026-07-31T23:00:00,123456789-03:00", "2026-08-01T02:00:00.123456Z" }, /* date -Ins */
                { "2026-03-29T01:59:59", "2026-03-29T00:59:59Z" },
                { "2026-03-29T03:00:00", "2026-03-29T01:00:00Z" },
                { "2026-10-25T01:59:59", "2026-10-24T23:59:59Z" },
                { "2026-10-25T02:30:00", "2026-10-25T02:30:00+01:00" }, /* comes twice: the later one */
                { "2026-10-25T03:00:00", "2026-10-25T02:00:00Z" },
                { "2026-12-31T23:59:60",
                  "2026-12-31T23:00:00Z" }, /* a leap second is the next one, as with an offset */
        };
        for (size_t i = 0; i < HL_COUNT(times); i++) {
                uint64_t us = 0, expected = 1;
                assert_int_equal(hl_parse_rfc3339(times[i].same, &expected), 0);
                if (hl_parse_time(times[i].text, &us) != 0 || us != expected)
                        fail_msg("%s: %llu", times[i].text, (unsigned long long)us);
                us = 0;
                assert_int_equal(hl_parse_time(times[i].same, &us), 0);
                assert_true(us == expected);
        }
        (void)state;
        static const char *const gaps[] = { "2026-03-29T02:00:00", "2026-03-29 02:30", "2026-03-29T02:59:59.999" };
        static const char *const bad[] = { "",
                                           "2026-07-31",
                                           "23:00",
                                           "2026-07-31T",
                                           "2026-07-31T23",
                                           "2026-07-31T23:",
                                           "2026-07-31T23:00:",
                                           "2026-07-31T23:00:00.",
                                           "2026-07-31T23:00:00+",
                                           "2026-07-31T23:00:00+1",
                                           "2026-07-31T23:00:00+01:",
                                           "2026-07-31T23:00:00+010",
                                           "2026-02-29T00:00",
                                           "2026-07-31T24:00",
                                           "2026-07-31T23:60",
                                           "2026-07-31T23:00 + 02:00",
                                           "2026-07-31T23:00 CEST",
                                           "2026-07-31  23:00",
                                           "2026-07-31T23:00:00,",
                                           "2026-07-31T23:00.5",
                                           "1785531600" };
        uint64_t us = 42;
        for (size_t i = 0; i < HL_COUNT(gaps); i++)
                assert_int_equal(hl_parse_time(gaps[i], &us), -ERANGE);
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                if (hl_parse_time(bad[i], &us) != -EINVAL)
                        fail_msg("%s", bad[i]);
        assert_int_equal(hl_parse_time("1970-01-01T00:30:00", &us), -ERANGE);
        assert_true(us == 42);
        assert_int_equal(hl_parse_rfc3339("2026-07-31T23:00:00", &us), -EINVAL); /* there an offset is required */
        assert_int_equal(hl_parse_rfc3339("2026-07-31T23:00Z", &us), -EINVAL);
        assert_int_equal(hl_parse_rfc3339("2026-07-31T23:00:00+01", &us), -EINVAL);
}

static void rfc3339_there_and_back(void **state)
{
        (void)state;
        uint64_t us = 1;
        char text[HL_RFC3339_SIZE];
        assert_int_equal(hl_parse_rfc3339("2026-01-31T23:00:00+01:00", &us), 0);
        assert_true(us == UINT64_C(1769896800) * HL_USEC_PER_SEC);
        must(setenv("TZ", "UTC-01:00", 1) == 0);
        tzset();
        assert_string_equal(hl_format_rfc3339(us, text), "2026-01-31T23:00:00+01:00");
        must(setenv("TZ", "UTC+03:30", 1) == 0);
        tzset();
        assert_string_equal(hl_format_rfc3339(us, text), "2026-01-31T18:30:00-03:30");
        assert_int_equal(hl_parse_rfc3339(text, &us), 0);
        assert_true(us == UINT64_C(1769896800) * HL_USEC_PER_SEC);
        assert_int_equal(hl_parse_rfc3339("2026-01-31t22:00:00.25z", &us), 0);
        assert_true(us == UINT64_C(1769896800) * HL_USEC_PER_SEC + 250000);
        assert_int_equal(hl_parse_rfc3339("1970-01-01 00:00:00Z", &us), 0);
        assert_true(us == 0);
}

static void a_listing_has_what_the_folder_has(void **state)
{
        struct hl_listing unread = { 0 };
        test_write(*state, "b", "");
        test_write(*state, "a", "");
        struct hl_listing listing = hl_listing_read(*state);
        assert_true(hl_listing_may_have(&listing, "a") && hl_listing_may_have(&listing, "b"));
        assert_false(hl_listing_may_have(&listing, "c"));
        hl_listing_free(&listing);
        listing = hl_listing_read(test_path(*state, "no-folder"));
        assert_true(hl_listing_may_have(&listing, "a") && hl_listing_may_have(&unread, "a"));
        hl_listing_free(&listing);
        hl_listing_free(&unread);
}

static void rfc3339_refuses(void **state)
{
        (void)state;
        uint64_t us = 42;
        static const char *const wrong[] = {
                "",
                "2026-01-31",
                "2026-01-31T23:00:00",
                "2026-01-31T23:00:00+0100",
                "2026-01-31T23:00:00+01:00 ",
                " 2026-01-31T23:00:00Z",
                "2026-02-31T23:00:00Z",
                "2025-02-29T00:00:00Z",
                "2026-13-01T00:00:00Z",
                "2026-00-01T00:00:00Z",
                "2026-01-01T24:00:00Z",
                "2026-01-01T00:60:00Z",
                "2026-01-01T00:00:61Z",
                "2026-01-01T00:00:00.Z",
                "2026-01-01T00:00:00.1234567890Z",
                "2026-01-01T00:00:00+24:00",
                "1969-12-31T23:59:59Z",
                "26-01-01T00:00:00Z",
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++)
                if (hl_parse_rfc3339(wrong[i], &us) != -EINVAL)
                        fail_msg("%s", wrong[i]);
        assert_int_equal(hl_parse_rfc3339("1970-01-01T00:00:00+00:01", &us), -ERANGE);
        assert_int_equal(us, 42);
        assert_int_equal(hl_parse_rfc3339("2024-02-29T00:00:00Z", &us), 0);
}

static void timespans_as_systemd(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint64_t us;
        } good[] = {
                { "90", 90 * HL_USEC_PER_SEC },
                { "30min", 30 * HL_USEC_PER_MINUTE },
                { "1h 30min", 90 * HL_USEC_PER_MINUTE },
                { "1h30min", 90 * HL_USEC_PER_MINUTE },
                { " 2 s ", 2 * HL_USEC_PER_SEC },
                { "500ms", 500 * HL_USEC_PER_MSEC },
                { "3us", 3 },
                { "1.5h", 90 * HL_USEC_PER_MINUTE },
                { "0", 0 },
                { "2 weeks 1 day", 15 * 24 * 60 * HL_USEC_PER_MINUTE },
        };
        static const char *const wrong[] = { "",     " ",     "-1",  "+1",    "1x",       "min",  "1 min x",
                                             "1..5", "1.min", "1e3", "1.5.5", "infinity", "never" };
        uint64_t us = 42;
        for (size_t i = 0; i < HL_COUNT(wrong); i++)
                if (hl_parse_timespan(wrong[i], &us) != -EINVAL)
                        fail_msg("%s", wrong[i]);
        assert_int_equal(hl_parse_timespan("99999999999999999999", &us), -ERANGE);
        assert_int_equal(hl_parse_timespan("18446744073709551615s", &us), -ERANGE);
        assert_int_equal(hl_parse_timespan("18446744073709551615us 1us", &us), -ERANGE);
        assert_int_equal(us, 42);
        for (size_t i = 0; i < HL_COUNT(good); i++) {
                if (hl_parse_timespan(good[i].text, &us) != 0)
                        fail_msg("%s", good[i].text);
                assert_true(us == good[i].us);
        }
}

static void spans_and_timespecs(void **state)
{
        (void)state;
        assert_true(hl_us_minus(5, 3) == 2);
        assert_true(hl_us_minus(3, 5) == 0);
        assert_true(hl_us_minus(HL_USEC_INFINITY, 1) == HL_USEC_INFINITY - 1);
        struct timespec t = hl_timespec_of(1234567890123);
        assert_int_equal(t.tv_sec, 1234567);
        assert_int_equal(t.tv_nsec, 890123000);
        assert_true(hl_timespec_us(t) == 1234567890123);
}

static void addresses(void **state)
{
        (void)state;
        static const char *const good[] = { "127.0.0.1", "::1", "2001:db8::1", "::ffff:10.0.0.1" };
        static const char *const bad[] = { "", "localhost", "127.0.0", "[::1]", "127.0.0.1:80", "::1%lo", " ::1" };
        for (size_t i = 0; i < HL_COUNT(good); i++)
                assert_true(hl_is_address(good[i]));
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                assert_false(hl_is_address(bad[i]));
}

static void clocks_go_forward(void **state)
{
        (void)state;
        uint64_t a = hl_clock_monotonic(), b = hl_clock_monotonic();
        assert_true(a > 0);
        assert_true(b >= a);
        assert_true(hl_clock_boottime() >= hl_clock_monotonic() - HL_USEC_PER_SEC);
        assert_true(hl_clock_realtime() > UINT64_C(1700000000) * HL_USEC_PER_SEC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(err_keeps_the_first),
                cmocka_unit_test(err_cuts_a_long_message),
                cmocka_unit_test(each_kind_has_its_exit_status),
                cmocka_unit_test(buf_grows_up_to_its_limit),
                cmocka_unit_test(buf_without_limit_refuses_overflow),
                cmocka_unit_test(buf_drops_from_the_front),
                cmocka_unit_test(buf_is_trimmed_at_its_end),
                cmocka_unit_test(parse_uint_takes_all_or_nothing),
                cmocka_unit_test(utf8_as_rfc_3629),
                cmocka_unit_test(percent_decoding_refuses_what_is_no_text),
                cmocka_unit_test(a_copy_is_cut_where_it_does_not_fit),
                cmocka_unit_test(small_text_functions),
                cmocka_unit_test(what_steers_a_terminal_is_not_printed),
                cmocka_unit_test(wait_fd_and_its_deadline),
                cmocka_unit_test(write_all_and_its_deadline),
                cmocka_unit_test_setup_teardown(read_file_and_its_errors, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_listing_has_what_the_folder_has, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(replace_file_as_a_whole, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(visible_text_has_no_blank_and_no_control),
                cmocka_unit_test(times_as_people_write_them),
                cmocka_unit_test(rfc3339_there_and_back),
                cmocka_unit_test(rfc3339_refuses),
                cmocka_unit_test(timespans_as_systemd),
                cmocka_unit_test(spans_and_timespecs),
                cmocka_unit_test(addresses),
                cmocka_unit_test(clocks_go_forward),
        };
        return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
