/* SPDX-License-Identifier: MIT */
/* http/problem: from an error to what its client is told. */
#include "support.h"

#include "base/mem.h"
#include "http/problem.h"

#include <errno.h>
#include <string.h>

static const struct {
        enum hl_err_kind kind;
        int status;
} statuses[] = {
        { HL_ERR_NONE, 500 },     { HL_ERR_INVALID, 400 },   { HL_ERR_FORBIDDEN, 403 }, { HL_ERR_NOT_FOUND, 404 },
        { HL_ERR_CONFLICT, 409 }, { HL_ERR_TOO_LARGE, 413 }, { HL_ERR_UPSTREAM, 502 },  { HL_ERR_BUSY, 503 },
        { HL_ERR_TIMEOUT, 504 },  { HL_ERR_CANCELLED, 504 }, { HL_ERR_INTERNAL, 500 },  { HL_ERR_UNSUPPORTED, 415 },
};

static void each_kind_has_its_status(void **state)
{
        (void)state;
        for (size_t i = 0; i < HL_COUNT(statuses); i++) {
                /* A polkit refusal of ours is not the client's 403: the errno has no say. */
                const struct hl_err err = { statuses[i].kind, EACCES, "the_code", "the sentence" };
                const struct hl_problem problem = hl_problem_of(&err);
                assert_int_equal(problem.status, statuses[i].status);
                assert_string_equal(problem.code, "the_code");
        }
}

static void the_cause_of_our_own_fault_is_not_told(void **state)
{
        (void)state;
        const struct hl_err ours = { HL_ERR_INTERNAL, EACCES, "the_code", "/etc/secret: Permission denied" },
                            theirs = { HL_ERR_CONFLICT, EBUSY, "the_code", "the sentence" };
        const struct hl_problem about_ours = hl_problem_of(&ours), about_theirs = hl_problem_of(&theirs);
        assert_null(strstr(about_ours.message, "secret"));
        assert_non_null(strstr(about_ours.message, "X-Request-Id"));
        assert_string_equal(about_theirs.message, "the sentence");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_kind_has_its_status),
                cmocka_unit_test(the_cause_of_our_own_fault_is_not_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
