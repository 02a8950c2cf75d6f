/* SPDX-License-Identifier: MIT */
/* openai_list.h - models as the APIs that clients know list them: OpenAI's fields, Anthropic's, and llama.cpp's
 * router's, in one object, since none contradicts another.
 *
 * Shape    one object a name: a model's own entry has its "aliases", an alias's the model it is an "alias_of".
 * Owner    the caller frees, or hands on, what is returned.
 * Source   platform.openai.com/docs/api-reference/models, docs.anthropic.com/en/api/models-list,
 *          llama.cpp tools/server/README.md ("Using multiple models").
 * Tests    tests/system/test_surfaces.py
 */
#ifndef HL_MODELS_OPENAI_LIST_H
#define HL_MODELS_OPENAI_LIST_H

#include "base/json.h"
#include "config/catalog.h"

/* id: the model's name or one of its aliases. state: "unloaded", "loading", "loaded" or "failed", which becomes
 * "status": {"value": "unloaded", "failed": true}. */
hl_json *hl_openai_model(const struct hl_model *model, const char *id, const char *state);

/* The same for a model that failed, with what its unit ended with. */
hl_json *hl_openai_failed_model(const struct hl_model *model, const char *id, int exit_code);

/* {"object": "list", "data": …, "has_more", "first_id", "last_id"}. Takes the array. */
hl_json *hl_openai_page(hl_json *data_array, bool has_more, const char *first_id, const char *last_id);

/* The same of all there are, where the array's entries are objects. */
hl_json *hl_openai_list(hl_json *data_array);

#endif
