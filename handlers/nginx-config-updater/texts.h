/* SPDX-License-Identifier: MIT */
/* texts.h - what NGINX is to have of models: made anew, and as it is in force.
 *
 * Shape    two files: the server's locations, and beside the server the upstreams that they need. A mark stands beside
 *          the locations for as long as NGINX may not have taken them up.
 * Errors   making: as hl_catalog_load(), or hl_proposal_read(). Reading: -errno/INTERNAL; a file that is not there is
 *          empty.
 * Owner    hl_nginx_texts_free().
 * Tests    tests/doors/test_updater_file.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_TEXTS_H
#define HL_NGINX_CONFIG_UPDATER_TEXTS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/report.h"
#include "config/catalog.h"
#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

struct hl_nginx_texts {
        struct hl_buf locations, upstreams;
        size_t models; /* that have a port, of those that are made */
        bool pending;  /* of those that are in force */
};

void hl_nginx_texts_free(struct hl_nginx_texts *texts);

/* A model on a port of NGINX's own gets no location: the catalogue then has it without a port. */
void hl_nginx_texts_make(const struct hl_config *config, struct hl_catalog *catalog, const struct hl_report *report,
                         struct hl_nginx_texts *ret_texts);

int hl_nginx_texts_in_force(const struct hl_config *config, struct hl_nginx_texts *ret_texts, struct hl_err *err);

bool hl_nginx_text_is(const struct hl_buf *a, const struct hl_buf *b);

/* Where the upstreams and the mark are, for free(). */
char *hl_nginx_upstreams_path(void);
char *hl_nginx_mark_path(const struct hl_config *config);

#endif
