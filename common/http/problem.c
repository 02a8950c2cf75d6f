/* SPDX-License-Identifier: MIT */
#include "problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define OUR_FAULT "something went wrong here; the journal says what, by this answer's X-Request-Id"

int hl_problem(struct hl_problem *ret_problem, int status, const char *code, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        vsnprintf(ret_problem->message, sizeof(ret_problem->message), format, args);
        va_end(args);
        ret_problem->status = status;
        ret_problem->code = code;
        return -EINVAL;
}

int hl_status_of(enum hl_err_kind kind)
{
        switch (kind) {
        case HL_ERR_INVALID:
                return 400;
        case HL_ERR_FORBIDDEN:
                return 403;
        case HL_ERR_NOT_FOUND:
                return 404;
        case HL_ERR_CONFLICT:
                return 409;
        case HL_ERR_TOO_LARGE:
                return 413;
        case HL_ERR_UNSUPPORTED:
                return 415;
        case HL_ERR_UPSTREAM:
                return 502;
        case HL_ERR_BUSY:
                return 503;
        case HL_ERR_TIMEOUT:
        case HL_ERR_CANCELLED: /* nobody reads it; the log has it */
                return 504;
        case HL_ERR_INTERNAL:
        case HL_ERR_NONE:
                break;
        }
        return 500;
}

struct hl_problem hl_problem_of(const struct hl_err *err)
{
        struct hl_problem problem = { 0 };
        hl_problem(&problem, hl_status_of(err->kind), err->code, "%s",
                   err->kind == HL_ERR_INTERNAL ? OUR_FAULT : err->message);
        return problem;
}
