/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>

int hl_fail(struct hl_err *err, enum hl_err_kind kind, int errnum, const char *code, const char *format, ...)
{
        if (err->kind != HL_ERR_NONE)
                return -errnum;

        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
        err->kind = kind;
        err->errnum = errnum;
        err->code = code;
        return -errnum;
}
