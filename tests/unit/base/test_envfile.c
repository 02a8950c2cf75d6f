/* SPDX-License-Identifier: MIT */
/* base/envfile: systemd's rules for a file of variables, and what it says of those that surprise people. */
#include "support.h"

#include "base/envfile.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned systemd_252(void)
{
        return 252;
}

static unsigned systemd_254(void)
{
        return 254;
}

static void note_assignment(void *data, unsigned line, const char *name, const char *value)
{
        hl_buf_addf(data, "%u %s=[%s]\n", line, name, value);
}

static int parse(const char *text, size_t len, unsigned (*systemd)(void), struct hl_buf *out, bool with_findings)
{
        char *exact = malloc(len + !len); /* so that reading over its end is seen */
        must(exact != NULL);
        memcpy(exact, text, len);
        hl_buf_add(out, "", 0);
        const struct hl_envfile file = {
                .text = exact, .len = len, .path = "FILE", .judged = "PORT,COMMAND", .systemd = systemd
        };
        const struct hl_report report = { test_note_finding, out };
        int r = hl_envfile_parse(&file, note_assignment, out, with_findings ? &report : NULL);
        free(exact);
        return r;
}

static void expect(const char *text, unsigned (*systemd)(void), bool with_findings, const char *expected)
{
        struct hl_buf out = { 0 };
        assert_int_equal(parse(text, strlen(text), systemd, &out, with_findings), 0);
        if (strcmp(out.data ? out.data : "", expected) != 0)
                fail_msg("%s\n--- is\n%s--- expected\n%s", text, out.data, expected);
        hl_buf_free(&out);
}

/* What systemd makes of a file that surprises nobody: nothing is told of it. */
static void expect_file(const char *text, const char *expected)
{
        expect(text, NULL, true, expected);
}

static void as_systemd_reads_it(void **state)
{
        (void)state;
        expect_file("", "");
        expect_file("PORT=8198", "1 PORT=[8198]\n");
        expect_file("PORT=\"8198\"\n", "1 PORT=[8198]\n");
        expect_file("PORT='8198'\n", "1 PORT=[8198]\n");
        expect_file("\n\n  A=1\n\tB=2\r\nC=\n", "3 A=[1]\n4 B=[2]\n5 C=[]\n");
        expect_file("# A=1\n; B=2\nC=3# not a comment\n", "3 C=[3# not a comment]\n");
        expect_file("COMMAND=x # a shell's\nA=\"x # y\"\n", "1 COMMAND=[x # a shell's]\n2 A=[x # y]\n");
        expect_file("A=one two  three  \n", "1 A=[one two  three]\n");
        expect_file("A=  one\n", "1 A=[one]\n");
        expect_file("A=\"one  \"  \n", "1 A=[one  ]\n");
        expect_file("A='one\\n$x \"two\"'\n", "1 A=[one\\n$x \"two\"]\n");
        expect_file("A=\"a\\\"b\\\\c\\$d\\`e\\nf\"\n", "1 A=[a\"b\\c$d`e\\nf]\n");
        expect_file("A=\"one\ntwo\"\nB=1\n", "1 A=[one\ntwo]\n3 B=[1]\n");
        expect_file("A=\"one\\\ntwo\"\n", "1 A=[onetwo]\n");
        expect_file("A=one\\\n two\nB=1\n", "1 A=[one two]\n3 B=[1]\n");
        expect_file("A=\"x\"'y'z\n", "1 A=[xyz]\n");
        expect_file("A=prog -m \"my model\" 'b'\n", "1 A=[prog -m \"my model\" 'b']\n"); /* these are text */
        expect_file("A=$HOME %i ${B}\n", "1 A=[$HOME %i ${B}]\n");                       /* nothing is expanded */
        expect_file("A=b=c\n", "1 A=[b=c]\n");
        expect_file("A =1\n", "1 A=[1]\n");
        expect_file("A=1\nA=2\n", "1 A=[1]\n2 A=[2]\n");
        expect_file("_a9=1\n", "1 _a9=[1]\n");
        expect_file("A=1\rB=2\r", "1 A=[1]\n1 B=[2]\n"); /* an old Mac's line ends are line ends */
        expect_file("A=C:\\\\x\n", "1 A=[C:\\x]\n");
        expect_file("A=x \\\n\nB=1\n", "1 A=[x ]\n3 B=[1]\n"); /* the blank is in front of a backslash */
}

/* A backslash at the end of a comment: the two releases differ. */
static void as_the_running_systemd_reads_it(void **state)
{
        (void)state;
        expect("# goes on \\\nA=1\nB=2\n", systemd_252, false, "3 B=[2]\n");
        expect("# goes on \\\nA=1\nB=2\n", systemd_254, false, "2 A=[1]\n3 B=[2]\n");
        expect("# goes on \\\nA=1\nB=2\n", NULL, false, "2 A=[1]\n3 B=[2]\n");
        expect("# C:\\\\\nA=1\n", systemd_252, true, "2 A=[1]\n"); /* that is two of them, and no question is asked */
        expect("#\\\r\nA=1\n", systemd_252, false, "2 A=[1]\n");
        expect("# a\\", systemd_252, true, "");
        expect("; goes on \\\nA=1\n", systemd_254, true,
               "FILE:1: : the comment ends with a backslash, and systemd before 254 takes the next line into it: "
               "remove "
               "the backslash\n2 A=[1]\n");
}

static void what_systemd_drops_is_told(void **state)
{
        static const struct {
                const char *text, *told, *read;
        } files[] = {
                { "hello\nA=1\n", "FILE:1: : expected NAME=VALUE, so \"hello\" is ignored: write NAME=\"VALUE\"",
                  "2 A=[1]\n" },
                { "PORT: 8198\n", "FILE:1: : expected NAME=VALUE, so \"PORT: 8198\" is ignored", "" },
                { "9A=1\nB=1", "FILE:1: : expected NAME=VALUE, so \"9A\" is ignored: a name is letters", "2 B=[1]\n" },
                { "\nMY-PORT=1", "FILE:2: : expected NAME=VALUE, so \"MY-PORT\" is ignored: a name is letters", "" },
                { "=1\n", "FILE:1: : expected NAME=VALUE", "" },
                { "==1\n", "FILE:1: : expected NAME=VALUE, so \"=\" is ignored", "" },
                { "export A=1\n", "so \"export A\" is ignored: write it without \"export\"", "" },
                { "\xEF\xBB\xBFPORT=1\nA=1\n", "FILE:1: : begins with a byte order mark, ", "2 A=[1]\n" },
                { "\xEF\xBB\xBF# x\nA=1\n", "FILE:1: : begins with a byte order mark, ", "2 A=[1]\n" },
                { "A\nB=\n", "FILE:1: : expected NAME=VALUE, so \"A\" is ignored", "2 B=[]\n" },
                { "A\rB=1\n", "FILE:1: : expected NAME=VALUE, so \"A\" is ignored", "1 B=[1]\n" },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(files); i++) {
                struct hl_buf out = { 0 };
                assert_int_equal(parse(files[i].text, strlen(files[i].text), NULL, &out, true), 0);
                if (!test_contains(&out, files[i].told))
                        fail_msg("%s\n--- is\n%s--- expected\n%s", files[i].text, out.data, files[i].told);
                hl_buf_free(&out);
                expect(files[i].text, NULL, false, files[i].read);
        }
}

static void what_systemd_bends_is_told(void **state)
{
        static const struct {
                const char *text, *told, *read;
        } files[] = {
                { "A=\"open\nB=1\n", "FILE:1: A: has a quote that is not closed, and is read as \"open B=1 \"",
                  "1 A=[open\nB=1\n]\n" },
                { "A='x", "FILE:1: A: has a quote that is not closed, and is read as \"x\"", "1 A=[x]\n" },
                { "PORT=\"1\" # mine\n", "FILE:1: PORT: is read as \"1# mine\", because more follows its closing quote",
                  "1 PORT=[1# mine]\n" },
                { "A= # mine\n", "FILE:1: A: is read as \"# mine\": a comment", "1 A=[# mine]\n" },
                { "A=0 # mine\n", "FILE:1: A: is read as \"0 # mine\": a comment needs a line of its own",
                  "1 A=[0 # mine]\n" },
                { "A=\"x\" \"y\"\n", "FILE:1: A: is read as \"xy\", because more follows", "1 A=[xy]\n" },
                { "A=\"x \"{\\\"a\\\": 1}\"\"\n", "FILE:1: A: is read as \"x {\"a\": 1}\"\"\", because more follows",
                  "1 A=[x {\"a\": 1}\"\"]\n" },
                { "A=\"x\nPORT=\"1\"\n", "FILE:1: A: is read as \"x PORT=1\"\": its quote is closed some lines below",
                  "1 A=[x\nPORT=1\"]\n" },
                { "A=p \"{\\\"a\\\": 1}\"\n", "FILE:1: A: is read as \"p \"{\"a\": 1}\"\", because a backslash outside",
                  "1 A=[p \"{\"a\": 1}\"]\n" },
                { "A=a\\\"b\\ \n", "because a backslash outside of quotes is dropped", "1 A=[a\"b ]\n" },
                { "A=p \\\n # --x \\\n --port 1\n",
                  "FILE:1: A: is read as \"p  # --x  --port 1\", because the line that", "1 A=[p  # --x  --port 1]\n" },
                { "A=\"p \\\n# --x \\\n--y\"\n", "FILE:1: A: is read as \"p # --x --y\", because the line that",
                  "1 A=[p # --x --y]\n" },
                { "A=p \\\r\n--port 1\r\n", "FILE:1: A: is read as \"p \", because a backslash joins no lines",
                  "1 A=[p ]\n" },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(files); i++) {
                struct hl_buf out = { 0 };
                assert_int_equal(parse(files[i].text, strlen(files[i].text), NULL, &out, true), 0);
                if (!test_contains(&out, files[i].told))
                        fail_msg("%s\n--- is\n%s--- expected\n%s", files[i].text, out.data, files[i].told);
                hl_buf_free(&out);
                expect(files[i].text, NULL, false, files[i].read);
        }
}

/* systemd gives the whole file up. */
static void what_systemd_refuses_is_told(void **state)
{
        static const struct {
                const char *text;
                size_t len;
                int result;
                const char *expected;
        } files[] = {
                { "A=1\nB=\0\n", 8, -EBADMSG,
                  "FILE:2: : has a NUL byte, and so systemd refuses the whole file: save it as plain UTF-8 text\n" },
                { "A=1\nB=\xFCx\nPORT=2\n", 16, -EILSEQ,
                  "1 A=[1]\nFILE:2: B: is not UTF-8, and so systemd refuses the whole file: \"?x\": save it as UTF-8\n"
                  "2 B=[\xFCx]\n3 PORT=[2]\n" },
                { "A\xFF b=1\n", 7, -EILSEQ,
                  "FILE:1: : is not UTF-8, and so systemd refuses the whole file: \"1\": save it as UTF-8\n" },
                { "A=\xEF\xBF\xBE", 5, -EILSEQ, /* a character for nobody */
                  "FILE:1: A: is not UTF-8, and so systemd refuses the whole file: \"\xEF\xBF\xBE\": save it as "
                  "UTF-8\n1 A=[\xEF\xBF\xBE]\n" },
                { "A=\xEF\xB7\x90", 5, -EILSEQ,
                  "FILE:1: A: is not UTF-8, and so systemd refuses the whole file: \"\xEF\xB7\x90\": save it as "
                  "UTF-8\n1 A=[\xEF\xB7\x90]\n" },
                { "A=\xF0\x9F\xBF\xBF", 6, -EILSEQ,
                  "FILE:1: A: is not UTF-8, and so systemd refuses the whole file: \"\xF0\x9F\xBF\xBF\": save it as "
                  "UTF-8\n1 A=[\xF0\x9F\xBF\xBF]\n" },
                { "# \xFC\nA=\xF0\x9F\xA6\x99\n", 11, 0, "2 A=[\xF0\x9F\xA6\x99]\n" }, /* a comment may be anything */
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(files); i++) {
                struct hl_buf out = { 0 };
                int r = parse(files[i].text, files[i].len, NULL, &out, true);
                if (r != files[i].result || strcmp(out.data, files[i].expected) != 0)
                        fail_msg("file %zu: %d\n--- is\n%s--- expected\n%s", i, r, out.data, files[i].expected);
                hl_buf_free(&out);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(as_systemd_reads_it),          cmocka_unit_test(as_the_running_systemd_reads_it),
                cmocka_unit_test(what_systemd_drops_is_told),   cmocka_unit_test(what_systemd_bends_is_told),
                cmocka_unit_test(what_systemd_refuses_is_told),
        };
        return cmocka_run_group_tests_name("envfile", tests, NULL, NULL);
}
