/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

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

int hl_exit_status(enum hl_err_kind kind)
{
        switch (kind) {
        case HL_ERR_NONE:
                return EX_OK;
        case HL_ERR_INVALID:
        case HL_ERR_UNSUPPORTED:
                return EX_USAGE;
        case HL_ERR_FORBIDDEN:
                return EX_NOPERM;
        case HL_ERR_NOT_FOUND:
                return EX_NOINPUT;
        case HL_ERR_CONFLICT:
        case HL_ERR_TOO_LARGE:
                return EX_DATAERR;
        case HL_ERR_UPSTREAM:
                return EX_SOFTWARE;
        case HL_ERR_BUSY:
        case HL_ERR_TIMEOUT:
        case HL_ERR_CANCELLED:
                return EX_TEMPFAIL;
        case HL_ERR_INTERNAL:
                break;
        }
        return EX_CONFIG; /* or the installation's */
}
