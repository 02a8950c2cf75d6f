/* SPDX-License-Identifier: MIT */
#include "cause_words.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

static const char *const reasons[] = {
        "no such file",
        "permission denied",
        "access denied",
        "operation not permitted",
        "read-only file system",
        "is a directory",
        "not a directory",
        "address already in use",
        "eaddrinuse",
        "connection in use",
        "n't bind",
        "not bind",
        "failed to bind",
        "cannot assign requested address",
        "out of memory",
        "outofmemory",
        "cannot allocate",
        "not enough memory",
        "insufficient memory",
        "less than desired",
        "no space left",
        "too many open files",
        "invalid argument",
        "invalid value",
        "invalid magic",
        "invalid choice",
        "unrecognized argument",
        "unrecognized option",
        "unknown argument",
        "unknown option",
        "unknown command",
        "unknown flag",
        "unexpected argument",
        "not defined: -",
        "are required",
        "command not found",
        ": not found",
        "no module named",
        "cannot find module",
        "cannot open shared object",
        "exec format error",
        "syntax error",
        "unknown model architecture",
        "corrupted",
        "no kernel image",
        "cuda error",
        "hip error",
        "driver version is insufficient",
        "cannot connect to the docker daemon",
        "error response from daemon",
        "name resolution",
        "not establish connection",
        "not resolve host",
        "there is no program",
        "is missing, so there is nothing to run",
        "what(): ",
        "ggml_assert",
        "panic: ",
};

static const char *const errors[] = {
        "error",          "fatal",           "panic",        "fail",          "cannot",      "can't",     "could not",
        "couldn't",       "unable to",       "invalid",      "denied",        "unknown",     "unrecogni", "unsupported",
        "not supported",  "not implemented", "missing",      "not found",     "no such",     "abort",     "exception",
        "refused",        "does not exist",  "not exist",    "not installed", "not defined", "expected",  "assert",
        "not accessible", "illegal",         "segmentation", "killed",        "must be",     "no usable", "not a valid",
};

/* Said of an error that was told before. */
static const char *const follow_ups[] = {
        "root cause",
        "exiting due to",
        "cleaning up",
        "failed to load model",
        "unable to load model",
        "trying to fit params",
        "engine core initialization failed",
        "enginecore failed",
        "engine process failed",
        "application startup failed",
        "worker failed to",
        "workers failed",
        "failed core proc",
        "traceback (most recent",
        "during handling of",
        "above exception",
        "shutting down",
        "shutdown",
        "exited with",
        "terminated",
        "keyboardinterrupt",
        "systemexit",
        "cancellederror",
        "resource_tracker",
        "destroy_process_group",
        "--help",
        "errno:",
        "code: '",
        "syscall:",
        "throw err",
        "stack trace",
        "backtrace",
        "error: process ",
};

/* Lines of a stack, and the source that it shows. */
static const char *const frames[] = { "File \"", "at ",           "raise ",     "return ", "^",
                                      "~",       "node:internal", "goroutine ", "..." };

static bool has_any(const char *text, const char *const *words, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (strcasestr(text, words[i]))
                        return true;
        return false;
}

bool hl_cause_words_give_reason(const char *text)
{
        return has_any(text, reasons, HL_COUNT(reasons));
}

bool hl_cause_words_tell_error(const char *text)
{
        return has_any(text, errors, HL_COUNT(errors));
}

bool hl_cause_words_follow_up(const char *text)
{
        return has_any(text, follow_ups, HL_COUNT(follow_ups));
}

bool hl_cause_words_are_frame(const char *text)
{
        for (size_t i = 0; i < HL_COUNT(frames); i++)
                if (hl_has_prefix(text, frames[i]))
                        return true;
        return false;
}
