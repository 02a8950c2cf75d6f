/* SPDX-License-Identifier: MIT */
/* aliases.h - the further names of models: what ALIASES= may say, and who has a name that two models claim.
 *
 * Shape    a file's name beats an alias, and the first model by name beats the others: so
 *          each name leads to one model, whatever order the folder is read in.
 * Errors   what is wrong is told to `report` and left out.
 * Owner    hl_model.aliases belongs to the model; hl_aliases_free().
 * Process  pure functions, time grows with n log n.
 * Tests    tests/unit/config/test_aliases.c
 */
#ifndef HL_CONFIG_ALIASES_H
#define HL_CONFIG_ALIASES_H

#include "catalog.h"

/* What may stand as one alias: 1 to HL_ALIAS_MAX bytes of UTF-8 that can be seen, without white space. */
bool hl_alias_valid(const char *text);

/* Takes the value of an ALIASES= of the model's file: names between white space. What an earlier one said is
 * dropped. */
void hl_aliases_read(struct hl_model *model, unsigned line, const char *value, const struct hl_report *report);

/* Takes from each model the aliases that another model has, or that it has already. The catalogue is a whole one,
 * sorted by name. */
void hl_aliases_settle(struct hl_catalog *catalog, const struct hl_report *report);

char **hl_aliases_copy(const struct hl_model *model); /* NULL where there are none */
void hl_aliases_free(struct hl_model *model);

#endif
