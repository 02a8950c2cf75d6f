/* catalog.h - the models of this host: one file each in the models folder.
 *
 * Shape    a copy of the folder at one instant, sorted by name. A name that a request
 *          gives is looked up here; it never becomes a path or a unit by itself.
 * Units    *_us are microseconds.
 * Errors   a wrong file is told to `finding` and its model listed without what was wrong;
 *          a wrong file name is told and left out. A folder that cannot be read, or is not
 *          there, is -errno/INTERNAL; but HL_MODELS_DIR, if absent, is an empty catalogue.
 * Owner    hl_catalog_free().
 * Source   the README's page "Models".
 * Tests    tests/unit/test_catalog.c
 */
#ifndef HL_LAB_CATALOG_H
#define HL_LAB_CATALOG_H

#include "config.h"

#include <stddef.h>

#define HL_MODEL_NAME_MAX 128        /* bytes */
#define HL_MODEL_FILE_SIZE_MAX 65536 /* bytes */
#define HL_CATALOG_MAX 10000         /* models */

struct hl_model {
        char name[HL_MODEL_NAME_MAX + 1];
        char *file_path;
        char *unit;    /* "model@NAME.service" */
        uint16_t port; /* 0: none, the model cannot be reached through us */
        char *health_path;
        uint64_t idle_timeout_us; /* HL_NEVER: pinned, or without a port and an IDLE_TIMEOUT of its own */
        uint64_t start_timeout_us;
};

struct hl_catalog {
        struct hl_model *models;
        size_t count;
};

/* [A-Za-z0-9][A-Za-z0-9._:-]*, at most HL_MODEL_NAME_MAX bytes. */
bool hl_model_name_valid(const char *name);

/* only: read no other model's file than this one's; NULL: all. finding may be NULL. */
int hl_catalog_load(const struct hl_config *config, const char *only, hl_finding_fn *finding, void *data,
                    struct hl_catalog *ret_catalog, struct hl_err *err);
void hl_catalog_free(struct hl_catalog *catalog);

/* NULL where there is none. */
const struct hl_model *hl_catalog_find(const struct hl_catalog *catalog, const char *name);

#endif
