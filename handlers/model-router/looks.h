/* SPDX-License-Identifier: MIT */
/* looks.h - requests that only look at a model: monitors and user interfaces send them all the time, and no model is
 * started for them.
 *
 * Shape    a table of paths; what can be said without the model, its names, is said.
 * Owner    hl_router_answer_look() takes the request.
 * Source   the APIs of llama.cpp, vLLM, SGLang, TGI, Ollama, TabbyAPI, ComfyUI, KoboldCpp, LM Studio, AUTOMATIC1111,
 *          NIM.
 * Tests    tests/doors/test_router_looks.py, tests/system/test_router.py
 */
#ifndef HL_MODEL_ROUTER_LOOKS_H
#define HL_MODEL_ROUTER_LOOKS_H

#include "config/catalog.h"
#include "request.h"

enum hl_router_look {
        HL_ROUTER_NO_LOOK,
        HL_ROUTER_LOOK,       /* health, metrics, versions, and what else is polled */
        HL_ROUTER_LOOK_LIST,  /* which models there are, in OpenAI's form */
        HL_ROUTER_LOOK_ENTRY, /* one of that list */
};

/* *ret_rest: of an entry its name, still encoded; points into the request. */
enum hl_router_look hl_router_look(const struct hl_router_request *request, const char **ret_rest);

/* For a model that is not ready: the list or the entry, or that it is not loaded. */
void hl_router_answer_look(struct hl_router_request *request, const struct hl_model *model, enum hl_router_look look,
                           const char *rest);

#endif
