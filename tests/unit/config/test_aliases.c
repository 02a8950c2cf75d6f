/* SPDX-License-Identifier: MIT */
/* config/aliases and hl_catalog_load_named(): the further names of models. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static const struct hl_config *config_of(const char *folder)
{
        static struct hl_config config;
        config = (struct hl_config){ .models_dir = test_path(folder, "models"),
                                     .unit_template = "model@%s.service",
                                     .health_path = "/health" };
        return &config;
}

static void load(const char *folder, struct hl_catalog *catalog, struct hl_buf *findings)
{
        struct hl_err err = { 0 };
        hl_buf_add(findings, "", 0);
        const struct hl_report report = { test_note_finding, findings };
        if (hl_catalog_load(config_of(folder), NULL, &report, catalog, &err) != 0)
                fail_msg("%s", err.message);
}

/* The aliases of a model, between spaces. */
static char *aliases_of(const struct hl_catalog *catalog, const char *name)
{
        static char text[HL_MODEL_FILE_SIZE_MAX];
        const struct hl_model *model = hl_catalog_find_named(catalog, name);
        must(model != NULL);
        *text = '\0';
        for (char **alias = model->aliases; alias && *alias; alias++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", *text ? " " : "", *alias);
        return text;
}

static void expect_aliases(const char *folder, const char *value, const char *expected, const char *finding)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("PORT=1\nALIASES=\"%s\"\n", value);
        test_write(folder, "models/m", text);
        load(folder, &catalog, &findings);
        if (strcmp(aliases_of(&catalog, "m"), expected) != 0)
                fail_msg("%s\nis       %s\nexpected %s", value, aliases_of(&catalog, "m"), expected);
        if (finding ? !test_contains(&findings, finding) : findings.len > 0)
                fail_msg("%s\n%s", value, findings.data);
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static void names_stand_between_any_white_space(void **state)
{
        expect_aliases(*state, "", "", NULL);
        expect_aliases(*state, "  ", "", NULL);
        expect_aliases(*state, "gpt-4 Qwen/Qwen3-8B", "gpt-4 Qwen/Qwen3-8B", NULL);
        expect_aliases(*state, " \tgpt-4\n  Qwen/Qwen3-8B:Q4_K_M\t", "gpt-4 Qwen/Qwen3-8B:Q4_K_M", NULL);
        expect_aliases(*state, "b a", "b a", NULL); /* in the file's order */
}

static void any_text_that_can_be_seen_is_an_alias(void **state)
{
        expect_aliases(*state, "mod\xC3\xA8le \xE6\xA8\xA1\xE5\x9E\x8B \xF0\x9F\xA6\x99",
                       "mod\xC3\xA8le \xE6\xA8\xA1\xE5\x9E\x8B \xF0\x9F\xA6\x99", NULL);
        expect_aliases(*state, "a&b?c=#d%2Fe+f,g;h'i<j>@[k] ../x /y ~ {z}", "a&b?c=#d%2Fe+f,g;h'i<j>@[k] ../x /y ~ {z}",
                       NULL);
        expect_aliases(*state, "q\\\"q b\\\\b", "q\"q b\\b", NULL);

        static const char *const bad[] = {
                "\x01",          "\x7F",         "a\x1B[31m",    "\xC2\x85",     "\xC2\xA0",         "\xC2\xAD",
                "a\xE2\x80\x8B", "\xE2\x80\xAE", "\xE2\x80\xA8", "\xE3\x80\x80", "\xEF\xBB\xBF",     "\xF3\xA0\x81\x81",
                "\xC3",          "\xFF",         "\xC0\xAF",     "\xED\xA0\x80", "\xF4\x90\x80\x80",
        };
        for (size_t i = 0; i < HL_COUNT(bad); i++) {
                HL_CLEANUP(hl_free_pointer) char *value = hl_format("one %s two", bad[i]);
                expect_aliases(*state, value, "one two",
                               "m:2: ALIASES: must be names in UTF-8 that can be seen: name 2 has");
        }
}

static void a_list_as_elsewhere_is_told(void **state)
{
        static const char said[] = "m:2: ALIASES: has separators, quotes or brackets, which are parts of the names";
        expect_aliases(*state, "gpt-4, Qwen/Qwen3-8B", "gpt-4, Qwen/Qwen3-8B", said);
        expect_aliases(*state, "gpt-4,gpt-4o", "gpt-4,gpt-4o", said);
        expect_aliases(*state, "'gpt-4' 'gpt-4o'", "'gpt-4' 'gpt-4o'", said);
        expect_aliases(*state, "[gpt-4 gpt-4o]", "[gpt-4 gpt-4o]", said);
        expect_aliases(*state, "gpt-4;gpt-4o", "gpt-4;gpt-4o", said);
        expect_aliases(*state, "- gpt-4", "- gpt-4", said);
        expect_aliases(*state, "gpt-4\xEF\xBC\x8Cgpt-4o", "gpt-4\xEF\xBC\x8Cgpt-4o", said); /* as in Chinese */
        expect_aliases(*state, "\xE2\x80\x9Cgpt-4\xE2\x80\x9D", "\xE2\x80\x9Cgpt-4\xE2\x80\x9D", said); /* “ ” */
}

static void limits_are_told(void **state)
{
        char text[HL_ALIAS_MAX + 2];
        memset(text, 'a', sizeof(text) - 1);
        text[HL_ALIAS_MAX + 1] = '\0';
        expect_aliases(*state, text, "", "m:2: ALIASES: must be names of at most 256 bytes: name 1 is longer");
        text[HL_ALIAS_MAX] = '\0';
        expect_aliases(*state, text, text, NULL);

        struct hl_buf many = { 0 };
        for (size_t i = 0; i < HL_ALIASES_MAX; i++)
                hl_buf_addf(&many, "%s%zu", i ? " " : "", i);
        expect_aliases(*state, many.data, many.data, NULL);
        HL_CLEANUP(hl_free_pointer) char *more = hl_format("%s last", many.data);
        expect_aliases(*state, more, many.data, "m:2: ALIASES: must be at most 64 names");
        hl_buf_free(&many);
}

static void the_last_line_is_the_one_that_counts(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        test_write(*state, "models/m", "PORT=1\nALIASES=a b c\nALIASES='c d'\n"); /* as systemd has it */
        load(*state, &catalog, &findings);
        assert_string_equal(aliases_of(&catalog, "m"), "c d");
        assert_true(test_contains(&findings, "m:3: ALIASES: once more: line 2 is ignored"));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

/* ---- who has a name ---- */

static void a_name_leads_to_one_model(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        test_write(*state, "models/a", "PORT=1\nALIASES=\"a one one b two\"\n");
        test_write(*state, "models/b", "ALIASES=\"two b three\"\nPORT=2\n");
        test_write(*state, "models/c", "PORT=3\n\nALIASES=\"four three a two a\"\n");
        load(*state, &catalog, &findings);
        assert_string_equal(aliases_of(&catalog, "a"), "one two");
        assert_string_equal(aliases_of(&catalog, "b"), "three");
        assert_string_equal(aliases_of(&catalog, "c"), "four");
        static const char *const expected[] = {
                "a:2: ALIASES: \"a\" is the model's own name: leave it out\n",
                "a:2: ALIASES: \"one\" stands twice: leave one out\n",
                "a:2: ALIASES: \"b\" is the name of the model b (",
                "b:1: ALIASES: \"two\" is an alias of the model a (",
                "b:1: ALIASES: \"b\" is the model's own name: leave it out\n",
                "c:3: ALIASES: \"three\" is an alias of the model b (",
                "c:3: ALIASES: \"a\" is the name of the model a (",
                "c:3: ALIASES: \"two\" is an alias of the model a (",
        };
        const char *at = findings.data;
        for (size_t i = 0; i < HL_COUNT(expected); i++) { /* in the order of the files */
                at = at ? strstr(at, expected[i]) : NULL;
                if (!at)
                        fail_msg("not told, or not there: %s\n%s", expected[i], findings.data);
        }
        assert_non_null(strstr(findings.data, "models/a), which keeps it"));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static const char *named(const char *folder, const char *name)
{
        static char found[HL_MODEL_NAME_MAX + 1];
        struct hl_catalog catalog;
        struct hl_err err = { 0 };
        if (hl_catalog_load_named(config_of(folder), name, &catalog, &err) != 0)
                fail_msg("%s", err.message);
        assert_true(catalog.count <= 1);
        snprintf(found, sizeof(found), "%s", catalog.count ? catalog.models[0].name : "-");
        if (catalog.count) { /* whole, as any other */
                assert_non_null(catalog.models[0].unit);
                assert_string_equal(catalog.models[0].health_path, "/health");
        }
        hl_catalog_free(&catalog);
        return found;
}

static void a_model_is_found_by_each_of_its_names(void **state)
{
        test_write(*state, "models/z", "PORT=1\nALIASES=\"Qwen/Qwen3-8B shared b mod\xC3\xA8le\"\n");
        test_write(*state, "models/b", "PORT=2\nALIASES=\"shared\"\n");
        assert_string_equal(named(*state, "z"), "z");
        assert_string_equal(named(*state, "Qwen/Qwen3-8B"), "z");
        assert_string_equal(named(*state, "mod\xC3\xA8le"), "z");
        assert_string_equal(named(*state, "b"), "b");      /* a file's name comes first */
        assert_string_equal(named(*state, "shared"), "b"); /* then the first by name */
        assert_string_equal(named(*state, "qwen/qwen3-8b"), "-");
        assert_string_equal(named(*state, "Qwen"), "-");
        assert_string_equal(named(*state, ""), "-");
        assert_string_equal(named(*state, "../models/z"), "-");
        assert_string_equal(named(*state, "Qwen/Qwen3-8B shared"), "-");
}

/* Clients write names as other servers' are written. */
static void a_name_is_understood_as_clients_write_it(void **state)
{
        static const struct {
                const char *written, *model;
        } cases[] = {
                { " m ", "m" },
                { "m\n", "m" },
                { "M", "M" },
                { "m:latest", "m" },
                { "M:latest", "M" },
                { "openai/m", "m" },
                { "ollama/m", "m" },
                { "openai/m:latest", "m" },
                { "QWEN/qwen3-8b", "-" },
                { "Z", "-" },
                { "openai/Qwen/Qwen3-8B", "z" },
                { "azure/gpt-4:latest", "z" },
                { "tagged:latest", "tagged:latest" },
                { "TAGGED", "-" },
                { "lm_studio/z", "z" },
                { "shared", "M" },
                { "SHARED", "-" },
                { "only", "-" },
                { "other/m", "-" },
                { "m/openai", "-" },
                { "openai/", "-" },
                { ":latest", "-" },
                { "openai/:latest", "-" },
                { "openai//m", "-" },
                { " ", "-" },
                { "m m", "-" },
                { "m:latest:latest", "-" },
        };
        test_write(*state, "models/m", "PORT=1\n");
        test_write(*state, "models/M", "PORT=2\nALIASES=shared\n");
        test_write(*state, "models/tagged:latest", "PORT=3\n");
        test_write(*state, "models/z", "PORT=4\nALIASES=\"Qwen/Qwen3-8B gpt-4 Only\"\n");
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                if (strcmp(named(*state, cases[i].written), cases[i].model) != 0)
                        fail_msg("\"%s\" is %s", cases[i].written, named(*state, cases[i].written));
}

/* The files of a folder that were opened, in text. */
static void read_opened(int watch, struct hl_buf *names)
{
        _Alignas(struct inotify_event) char events[4096];
        ssize_t len;
        hl_buf_add(names, "", 0);
        while ((len = read(watch, events, sizeof(events))) > 0)
                for (const char *at = events; at < events + len;) {
                        const struct inotify_event *event = (const void *)at;
                        if (event->len > 0)
                                hl_buf_addf(names, "%s ", event->name);
                        at += sizeof(*event) + event->len;
                }
}

static void only_for_an_alias_are_all_files_read(void **state)
{
        static const struct {
                const char *name, *opened;
        } cases[] = { { "m", "m " }, { "n", "m other " }, { "other", "other " }, { "a b", "" }, { "", "" } };
        test_write(*state, "models/m", "PORT=1\nALIASES=n\n");
        test_write(*state, "models/other", "PORT=2\n");
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_buf opened = { 0 };
                int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
                must(watch >= 0 && inotify_add_watch(watch, test_path(*state, "models"), IN_OPEN) >= 0);
                named(*state, cases[i].name);
                read_opened(watch, &opened);
                must(close(watch) == 0);
                bool other_order = strcmp(cases[i].opened, "m other ") == 0 && strcmp(opened.data, "other m ") == 0;
                if (strcmp(opened.data, cases[i].opened) != 0 && !other_order)
                        fail_msg("%s: %s", cases[i].name, opened.data);
                hl_buf_free(&opened);
        }
}

static void an_unreadable_folder_is_an_error_by_alias_too(void **state)
{
        struct hl_catalog catalog = { .count = 42 };
        struct hl_err err = { 0 };
        struct hl_config config = *config_of(*state);
        config.models_dir = test_path(*state, "none");
        assert_true(hl_catalog_load_named(&config, "a/b", &catalog, &err) < 0);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_int_equal(catalog.count, 42);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(names_stand_between_any_white_space),
                IN_FOLDER(any_text_that_can_be_seen_is_an_alias),
                IN_FOLDER(a_list_as_elsewhere_is_told),
                IN_FOLDER(limits_are_told),
                IN_FOLDER(the_last_line_is_the_one_that_counts),
                IN_FOLDER(a_name_leads_to_one_model),
                IN_FOLDER(a_model_is_found_by_each_of_its_names),
                IN_FOLDER(a_name_is_understood_as_clients_write_it),
                IN_FOLDER(only_for_an_alias_are_all_files_read),
                IN_FOLDER(an_unreadable_folder_is_an_error_by_alias_too),
        };
        return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}
