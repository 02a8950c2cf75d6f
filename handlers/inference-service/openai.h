/* SPDX-License-Identifier: MIT */
/* openai.h - the routes of other APIs: OpenAI's and Anthropic's lists, and llama.cpp's router.
 *
 * Shape    the list has an entry for each name of a model, in the order of their bytes, so that a page goes on behind
 *          any id, also one that is no longer there.
 * Errors   as every route: 0, or -errno with ctx->err filled.
 * Source   platform.openai.com/docs/api-reference/models, docs.anthropic.com/en/api/models-list, llama.cpp
 *          tools/server/README.md ("Using multiple models").
 * Tests    tests/doors/test_surfaces.py, tests/system/test_surfaces.py
 */
#ifndef HL_INFERENCE_SERVICE_OPENAI_H
#define HL_INFERENCE_SERVICE_OPENAI_H

#include "listed.h"
#include "service/service.h"

int inference_run_openai_models(struct hl_context *ctx);
int inference_run_openai_model(struct hl_context *ctx);
int inference_run_load(struct hl_context *ctx);
int inference_run_unload(struct hl_context *ctx);

/* Adds the list, as llama.cpp's clients look for it, to the answer of GET /models; not where systemd cannot be
 * asked. */
void inference_set_data(struct hl_context *ctx, const struct inference_listed *listed);

#endif
