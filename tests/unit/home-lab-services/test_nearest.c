/* SPDX-License-Identifier: MIT */
/* home-lab-services/cli/nearest: what people mistype, and what they do not mean. */
#include "support.h"

#include "base/mem.h"
#include "home-lab-services/cli/nearest.h"

#include <string.h>

static const char *const commands[] = { "list", "start", "stop", "restart", "status", "logs", "why", "token", "check" };

static const char *nearest(const char *word)
{
        return hl_nearest(word, commands, HL_COUNT(commands));
}

static void what_is_mistyped_is_understood(void **state)
{
        static const struct {
                const char *word, *meant;
        } rows[] = { { "strat", "start" }, { "statsu", "status" },   { "lits", "list" }, { "log", "logs" },
                     { "chekc", "check" }, { "restrat", "restart" }, { "STOP", "stop" }, { "tokens", "token" } };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                const char *found = nearest(rows[i].word);
                assert_non_null(found);
                assert_string_equal(found, rows[i].meant);
        }
}

static void another_word_is_none_of_them(void **state)
{
        static const char *const words[] = { "", "x", "foo", "install", "reboot", "-", "ABC", "nonsense", "tschüss" };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(words); i++)
                assert_null(nearest(words[i]));
}

static void a_long_word_is_like_none(void **state)
{
        char word[HL_NEAREST_MAX + 2], same[HL_NEAREST_MAX + 1];
        const char *known[] = { word, same };
        (void)state;
        memset(word, 'a', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        memset(same, 'a', sizeof(same) - 1);
        same[sizeof(same) - 1] = '\0';
        assert_null(hl_nearest(word, known, 2));
        assert_ptr_equal(hl_nearest(same, known, 2), same);
        assert_null(hl_nearest("start", NULL, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_mistyped_is_understood),
                cmocka_unit_test(another_word_is_none_of_them),
                cmocka_unit_test(a_long_word_is_like_none),
        };
        return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
