/* SPDX-License-Identifier: MIT */
/* nginx-config-updater/proposal: names and ports, and not one byte else. */
#include "support.h"

#include "base/mem.h"
#include "nginx-config-updater/proposal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int parse(const char *bytes, size_t len, struct hl_catalog *ret_catalog)
{
        struct hl_buf text = { 0 };
        struct hl_err err = { 0 };
        hl_buf_add(&text, bytes, len);
        int r = hl_proposal_parse(&text, ret_catalog, &err);
        if (r < 0)
                assert_string_equal(err.code, "proposal_refused");
        hl_buf_free(&text);
        return r;
}

static void what_is_written_is_taken(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "0", .port = 1 },
                                     { .name = "A-z_9.b:q4", .port = 65535 },
                                     { .name = "none", .port = 0 },
                                     { .name = "z", .port = 8198 } };
        const struct hl_catalog catalog = { models, HL_COUNT(models) };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken;
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        hl_proposal_write(&catalog, &text);
        assert_string_equal(text.data, "0 1\nA-z_9.b:q4 65535\nz 8198\n");
        assert_int_equal(parse(text.data, text.len, &taken), 0);
        assert_int_equal(taken.count, 3);
        assert_string_equal(taken.models[1].name, "A-z_9.b:q4");
        assert_int_equal(taken.models[1].port, 65535);
}

static void nothing_is_a_proposal_too(void **state)
{
        (void)state;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken;
        assert_int_equal(parse("", 0, &taken), 0);
        assert_int_equal(taken.count, 0);
}

static void as_many_models_as_there_may_be(void **state)
{
        (void)state;
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken = { 0 }, more = { 0 };
        for (unsigned i = 0; i < HL_CATALOG_MAX; i++)
                hl_buf_addf(&text, "m%05u 8198\n", i);
        assert_int_equal(parse(text.data, text.len, &taken), 0);
        assert_int_equal(taken.count, HL_CATALOG_MAX);
        hl_buf_adds(&text, "z 8198\n");
        assert_int_equal(parse(text.data, text.len, &more), -EINVAL);
        assert_int_equal(more.count, 0);
}

static void any_other_line_is_refused(void **state)
{
        (void)state;
        static const char *const lines[] = {
                "a 8198",
                "\n",
                " \n",
                "a\n",
                "a \n",
                " 8198\n",
                "a  8198\n",
                "a 8198 \n",
                "a\t8198\n",
                "a 8198\r\n",
                "a 0\n",
                "a 08198\n",
                "a 65536\n",
                "a 99999999999999999999\n",
                "a -1\n",
                "a +1\n",
                "a 0x50\n",
                "a 8198;\n",
                "a 8198 backup\n",
                "a 8198#\n",
                "# a\n",
                "-a 8198\n",
                ".a 8198\n",
                "@a 8198\n",
                "a/b 8198\n",
                "a;b 8198\n",
                "a{ 8198\n",
                "a} 8198\n",
                "$host 8198\n",
                "\"a\" 8198\n",
                "a\\ 8198\n",
                "\xc3\xa4 8198\n",
                "a\x7f 8198\n",
                "a\x80 8198\n",
                "include /etc/shadow;\n",
                "load_module x.so;\n",
                "user root;\n",
                "location / { root /; }\n",
                "location /x/ {\n    root /;\n}\n",
                "a 127.0.0.1:8198\n",
                "127.0.0.1 8198 x\n",
        };
        static const char first[] = "0 8000\n", last[] = "z 9000\n";
        for (size_t i = 0; i < HL_COUNT(lines); i++) {
                HL_CLEANUP(hl_free_pointer) char *beside = hl_format("%s%s%s", first, lines[i], i ? last : "");
                struct hl_catalog taken;
                if (parse(lines[i], strlen(lines[i]), &taken) == 0 || parse(beside, strlen(beside), &taken) == 0)
                        fail_msg("taken: %s", lines[i]);
        }
}

static void a_zero_byte_is_refused(void **state)
{
        (void)state;
        static const char *const lines[] = { "a\0 8198\n", "a 8198\0\n",
                                             "a 81\0"
                                             "98\n",
                                             "\0\n", "a 8198\n\0" };
        static const size_t lens[] = { 8, 8, 8, 2, 8 };
        for (size_t i = 0; i < HL_COUNT(lines); i++) {
                struct hl_catalog taken;
                assert_int_equal(parse(lines[i], lens[i], &taken), -EINVAL);
        }
}

static void a_name_comes_once_and_in_its_place(void **state)
{
        (void)state;
        struct hl_catalog taken;
        assert_int_equal(parse("a 1\na 1\n", 8, &taken), -EINVAL);
        assert_int_equal(parse("a 1\nb 1\na 2\n", 12, &taken), -EINVAL);
        assert_int_equal(parse("b 1\na 1\n", 8, &taken), -EINVAL);
}

static void a_name_of_any_length(void **state)
{
        (void)state;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken;
        char name[HL_MODEL_NAME_MAX + 2] = "";
        memset(name, 'n', HL_MODEL_NAME_MAX);
        HL_CLEANUP(hl_free_pointer) char *fits = hl_format("%s 65535\n", name);
        assert_int_equal(parse(fits, strlen(fits), &taken), 0);
        name[HL_MODEL_NAME_MAX] = 'n';
        HL_CLEANUP(hl_free_pointer) char *too_long = hl_format("%s 1\n", name);
        struct hl_catalog none;
        assert_int_equal(parse(too_long, strlen(too_long), &none), -EINVAL);
}

/* Whether it was taken. What is taken is written as it was read, so nothing of it was overlooked. */
static bool is_proposal_or_refused(const char *text, size_t len)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf again = { 0 };
        if (parse(text, len, &taken) < 0)
                return false;
        hl_proposal_write(&taken, &again);
        assert_int_equal(again.len, len);
        assert_memory_equal(again.data, text, len);
        return true;
}

static void any_byte_in_any_place(void **state)
{
        (void)state;
        static const char whole[] = "a 1\nb.c:d_e-9 65535\nz 8198\n";
        size_t len = strlen(whole), taken_of = 0;
        for (size_t at = 0; at < len; at++)
                for (int byte = 0; byte < 256; byte++) {
                        char replaced[sizeof(whole)], inserted[sizeof(whole) + 1];
                        memcpy(replaced, whole, len);
                        replaced[at] = (char)byte;
                        taken_of += is_proposal_or_refused(replaced, len);
                        memcpy(inserted, whole, at);
                        inserted[at] = (char)byte;
                        memcpy(inserted + at + 1, whole + at, len - at);
                        taken_of += is_proposal_or_refused(inserted, len + 1);
                }
        assert_true(taken_of > 100);
}

/* ---- beside the models' files ---- */

static void only_what_the_files_say_is_left(void **state)
{
        (void)state;
        struct hl_model models[] = { { .name = "a", .port = 1 },
                                     { .name = "b", .port = 2 },
                                     { .name = "c" },
                                     { .name = "e", .port = 5 },
                                     { .name = "z", .port = 26 } };
        struct hl_catalog catalog = { models, HL_COUNT(models) };
        static const char text[] = "B 2\na 1\nb 22\nc 3\nd 4\nz 26\n";
        HL_CLEANUP(hl_catalog_free) struct hl_catalog taken;
        assert_int_equal(parse(text, strlen(text), &taken), 0);
        assert_int_equal(hl_proposal_compare(&taken, &catalog), 4);
        static const uint16_t ports[] = { 1, 0, 0, 0, 26 };
        for (size_t i = 0; i < HL_COUNT(ports); i++)
                assert_int_equal(models[i].port, ports[i]);
        assert_int_equal(hl_proposal_compare(&(struct hl_catalog){ 0 }, &catalog), 0);
        assert_int_equal(models[0].port + models[4].port, 0);
}

/* ---- the file ---- */

static int read_at(const char *folder, const char *name, struct hl_buf *text)
{
        struct hl_err err = { 0 };
        int r = hl_proposal_read(test_path(folder, name), text, &err);
        if (r < 0)
                assert_null(strstr(err.message, "secret"));
        return r;
}

static void only_a_file_of_its_own_is_read(void **state)
{
        const char *folder = *state;
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        test_write(folder, "proposal", "a 1\n");
        assert_int_equal(read_at(folder, "proposal", &text), 0);
        assert_string_equal(text.data, "a 1\n");

        test_write(folder, "elsewhere", "secret 1\n");
        must(symlink(test_path(folder, "elsewhere"), test_path(folder, "symlink")) == 0);
        assert_int_equal(read_at(folder, "symlink", &text), -ELOOP);
        must(link(test_path(folder, "elsewhere"), test_path(folder, "hardlink")) == 0);
        assert_int_equal(read_at(folder, "hardlink", &text), -EINVAL);
        must(mkfifo(test_path(folder, "fifo"), 0600) == 0);
        assert_int_equal(read_at(folder, "fifo", &text), -EINVAL);
        must(mkdir(test_path(folder, "folder"), 0700) == 0);
        assert_int_equal(read_at(folder, "folder", &text), -EINVAL);
        assert_int_equal(read_at(folder, "none", &text), -ENOENT);

        test_write(folder, "huge", "");
        must(truncate(test_path(folder, "huge"), (off_t)1 << 40) == 0);
        assert_int_equal(read_at(folder, "huge", &text), -EFBIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_taken),
                cmocka_unit_test(nothing_is_a_proposal_too),
                cmocka_unit_test(as_many_models_as_there_may_be),
                cmocka_unit_test(any_other_line_is_refused),
                cmocka_unit_test(a_zero_byte_is_refused),
                cmocka_unit_test(a_name_comes_once_and_in_its_place),
                cmocka_unit_test(a_name_of_any_length),
                cmocka_unit_test(any_byte_in_any_place),
                cmocka_unit_test(only_what_the_files_say_is_left),
                cmocka_unit_test_setup_teardown(only_a_file_of_its_own_is_read, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
