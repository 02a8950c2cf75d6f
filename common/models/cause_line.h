/* SPDX-License-Identifier: MIT */
/* cause_line.h - which of the lines that a program logged says why it failed?
 *
 * Shape    a pure judgement over text: each line is offered, oldest first, and the best one is kept. A line that names
 *          a reason ("No such file or directory") or is an exception is better than one with a word of error, that is
 *          better than any other; what only follows from an error ("exiting due to…"), warns or informs is worse. Of
 *          equal ones the last is kept.
 * Errors   none.
 * Source   what llama-server, vLLM, Ollama, TGI, ComfyUI, uvicorn, docker, shells, Python, Node, Go and Rust print.
 * Tests    tests/unit/models/test_cause_line.c
 */
#ifndef HL_MODELS_CAUSE_LINE_H
#define HL_MODELS_CAUSE_LINE_H

#include <stdbool.h>

#define HL_CAUSE_SIZE 320 /* bytes, with the NUL; longer ones are cut */

/* { 0 } is one to which nothing was offered. */
struct hl_cause_line {
        int score;
        char text[HL_CAUSE_SIZE]; /* one line of UTF-8 without colours, time stamps and control characters */
};

/* message: what was logged at once, of one line or several; priority: syslog's, -1 where it is not known. */
void hl_cause_line_offer(struct hl_cause_line *best, int priority, const char *message);

/* Whether it tells of an error. Else it is only the last one that there was. */
bool hl_cause_line_is_error(const struct hl_cause_line *line);

#endif
