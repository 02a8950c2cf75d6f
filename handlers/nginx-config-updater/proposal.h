/* SPDX-License-Identifier: MIT */
/* proposal.h - what the updater's user tells root of the models: names and ports. It can hold no directive.
 *
 * Shape    a line "NAME PORT" for each model that has a port, in the order of the names, each name once. A name is a
 *          model's, and a port a number of 1 to 65535 without a zero in front. Nothing else is taken, not one byte; and
 *          of that, only what the models' files say themselves.
 * Errors   -errno/INVALID, "proposal_refused". The message quotes nothing of the file: somebody may have linked another
 *          one there.
 * Owner    hl_catalog_free().
 * Tests    tests/unit/nginx-config-updater/test_proposal.c, tests/doors/test_updater_file.py, tests/system/test_gate.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_PROPOSAL_H
#define HL_NGINX_CONFIG_UPDATER_PROPOSAL_H

#include "base/buf.h"
#include "base/err.h"
#include "config/catalog.h"

/* Appends to *out. */
void hl_proposal_write(const struct hl_catalog *catalog, struct hl_buf *out);

/* The file once, and no further: who may write it may change it at any time. It is a file of its own, no link. */
int hl_proposal_read(const char *path, struct hl_buf *text, struct hl_err *err);

/* The names and ports that the text says, and nothing else of these models. The text is taken apart by it. */
int hl_proposal_parse(struct hl_buf *text, struct hl_catalog *ret_catalog, struct hl_err *err);

/* Of the models, those that are not proposed with the port that their files say have none afterwards. Returns how many
 * that are proposed are not so in the files. */
size_t hl_proposal_compare(const struct hl_catalog *proposed, struct hl_catalog *models);

#endif
