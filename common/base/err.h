/* SPDX-License-Identifier: MIT */
/* err.h - how a failure is told from one module to the next.
 *
 * Shape    struct hl_err lives on the caller's stack; it is a value and owns nothing.
 * Errors   a function that can fail returns 0 or -errno and fills its hl_err: a kind
 *          that says whose fault it is, a stable code for programs, one sentence for
 *          people. The first failure is kept, later ones do not overwrite it.
 * Source   a kind becomes an HTTP status in http/problem.c, and an exit status in err.c. An errno becomes no HTTP
 *          status; only the command home-lab-services tells some exit statuses apart by it.
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_ERR_H
#define HL_BASE_ERR_H

#define HL_ERR_MESSAGE_MAX 512 /* bytes, with the NUL; longer sentences are cut */

enum hl_err_kind {
        HL_ERR_NONE = 0,
        HL_ERR_INVALID,   /* the request makes no sense */
        HL_ERR_FORBIDDEN, /* understood, and refused by policy */
        HL_ERR_NOT_FOUND,
        HL_ERR_CONFLICT,    /* the request makes sense, but not in the present state */
        HL_ERR_UPSTREAM,    /* another program failed: a unit, a model server */
        HL_ERR_BUSY,        /* the bus or the host cannot be reached now; trying again helps */
        HL_ERR_TIMEOUT,     /* the deadline passed; what was begun may still go on */
        HL_ERR_CANCELLED,   /* the client has left; what was begun may still go on */
        HL_ERR_INTERNAL,    /* our own fault, or the installation's */
        HL_ERR_TOO_LARGE,   /* more than there is room for */
        HL_ERR_UNSUPPORTED, /* a form of what was sent that is not read here */
};

struct hl_err {
        enum hl_err_kind kind;
        int errnum;       /* positive errno */
        const char *code; /* static string such as "model_not_found" */
        char message[HL_ERR_MESSAGE_MAX];
};

/* Fills err, unless it holds a failure already, and returns -errnum. */
int hl_fail(struct hl_err *err, enum hl_err_kind kind, int errnum, const char *code, const char *format, ...)
        __attribute__((format(printf, 5, 6)));

/* The exit status of a program that ends with an error of this kind: sysexits.h. */
int hl_exit_status(enum hl_err_kind kind);

#endif
