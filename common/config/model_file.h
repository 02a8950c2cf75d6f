/* SPDX-License-Identifier: MIT */
/* model_file.h - what the file of one model says.
 *
 * Shape    fills the part of a struct hl_model that its file decides; the catalogue knows the rest.
 * Errors   what is wrong is told to `report`, and left out. A file that may not be read, or that systemd refuses, is
 *          told, and 0 is returned: read_error says so. -errno: it is not there (-ENOENT), or cannot be read now.
 * Owner    what it fills belongs to the model: hl_catalog_free().
 * Source   handlers/MODELS.md.
 * Tests    tests/unit/config/test_catalog.c, tests/system/test_mistakes.py
 */
#ifndef HL_CONFIG_MODEL_FILE_H
#define HL_CONFIG_MODEL_FILE_H

#include "catalog.h"

/* Of the file with the model's name in the folder dir_fd. */
int hl_model_file_read(int dir_fd, const struct hl_config *config, struct hl_model *model,
                       const struct hl_report *report);

#endif
