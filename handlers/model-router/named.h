/* SPDX-License-Identifier: MIT */
/* named.h - the models that requests name, each read once for as long as the kernel says that nothing has changed.
 *
 * Shape    from the second request on. A model is kept by its file's name, and no other file is read or watched for it.
 *          One that goes by an alias is read each time: any file may take that name.
 * Errors   as hl_catalog_load_named(). What cannot be watched is read each time, and is no error.
 * Owner    hl_router_named_free(); the catalogue that is given: hl_catalog_free().
 * Process  one thread.
 * Source   catalog_watch.h.
 * Tests    tests/unit/model-router/test_named.c
 */
#ifndef HL_MODEL_ROUTER_NAMED_H
#define HL_MODEL_ROUTER_NAMED_H

#include "config/catalog_watch.h"

#include "config/catalog.h"

#define HL_ROUTER_NAMED_MAX 64

struct hl_router_named {
        struct hl_catalog_watch watch;
        char *config;                                  /* what they were read by; NULL: nothing is kept */
        struct hl_catalog models[HL_ROUTER_NAMED_MAX]; /* of one each */
        size_t count;
        bool was_asked;
        bool is_blind; /* nothing can be watched here */
};

int hl_router_named_load(struct hl_router_named *named, const struct hl_config *config, const char *name,
                         struct hl_catalog *ret_catalog, struct hl_err *err);

void hl_router_named_free(struct hl_router_named *named);

#endif
