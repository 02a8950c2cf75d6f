/* SPDX-License-Identifier: MIT */
/* problem.h - what is wrong with a request, as its client is told: a status, a code, one sentence.
 *
 * Shape    a value. An error of another module becomes a problem here and nowhere else: its kind gives the status. An
 *          errno never does, or a polkit refusal of ours would become the client's 403.
 * Errors   of our own faults the client hears no cause: the log has it.
 * Source   RFC 9110 section 15.
 * Tests    tests/unit/http/test_problem.c
 */
#ifndef HL_HTTP_PROBLEM_H
#define HL_HTTP_PROBLEM_H

#include "base/err.h"

struct hl_problem {
        int status;
        const char *code; /* stable, static */
        char message[HL_ERR_MESSAGE_MAX];
};

/* Fills a problem and returns -EINVAL. */
int hl_problem(struct hl_problem *ret_problem, int status, const char *code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* The status of an answer about an error of this kind. */
int hl_status_of(enum hl_err_kind kind);

/* What the client hears of an error. */
struct hl_problem hl_problem_of(const struct hl_err *err);

#endif
