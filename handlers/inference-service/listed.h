/* SPDX-License-Identifier: MIT */
/* listed.h - what lists say of a catalogue's models that does not depend on what runs: written once for the catalogue.
 *
 * Shape    texts, which are JSON. They are made of the catalogue alone and go with it, so none can be out of date
 *          while catalog_kept.h gives the same one. What runs is systemd's to say, and is asked for each answer.
 * Owner    inference_listed_give() by each who took them. The last ones stay for the next request.
 * Process  any thread.
 * Tests    tests/system/test_looks.py, tests/system/test_surfaces.py
 */
#ifndef HL_INFERENCE_SERVICE_LISTED_H
#define HL_INFERENCE_SERVICE_LISTED_H

#include "base/json.h"
#include "config/catalog.h"

/* "file_error", where there is one. */
void inference_set_file_error(hl_json *json, const struct hl_model *model);

/* One name of a model: its file's, or an alias. */
struct inference_name {
        const char *id;
        const struct hl_model *model;
        /* Where its entry in lists as the OpenAI API's stands in `unloaded`, while the model does not run. */
        size_t begin, end;
};

struct inference_listed {
        struct hl_catalog catalog;
        struct inference_name *names; /* in the order of their bytes */
        size_t count;
        char *models;   /* the array of GET /models */
        char *unloaded; /* the entries of all names, with commas between them */
        unsigned users;
};

struct inference_listed *inference_listed_take(struct hl_catalog *catalog);
void inference_listed_give(struct inference_listed **listed); /* for HL_CLEANUP, too; NULL is nothing */

#endif
