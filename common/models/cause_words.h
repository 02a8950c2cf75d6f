/* SPDX-License-Identifier: MIT */
/* cause_words.h - the words by which programs tell of errors, as tables: what cause_line.h judges by.
 *
 * Shape    pure functions over one line of text. Letters count without regard to case, but in frames.
 * Source   what llama-server, vLLM, Ollama, TGI, ComfyUI, uvicorn, docker, shells, Python, Node, Go and Rust print.
 * Tests    tests/unit/models/test_cause_line.c
 */
#ifndef HL_MODELS_CAUSE_WORDS_H
#define HL_MODELS_CAUSE_WORDS_H

#include <stdbool.h>

bool hl_cause_words_give_reason(const char *text); /* "no such file", "out of memory" */
bool hl_cause_words_tell_error(const char *text);  /* "error", "cannot" */
bool hl_cause_words_follow_up(const char *text);   /* of an error that was told before: "exiting due to" */
bool hl_cause_words_are_frame(const char *text);   /* a line of a stack, or the source that it shows */

#endif
