/* SPDX-License-Identifier: MIT */
/* config_kept.h - the configuration, read once for as long as its file is the same by all that stat() says of it.
 *
 * Errors   as hl_config_load() without a report.
 * Owner    hl_config_free().
 * Process  any thread.
 * Tests    tests/unit/config/test_config_kept.c
 */
#ifndef HL_CONFIG_CONFIG_KEPT_H
#define HL_CONFIG_CONFIG_KEPT_H

#include "config.h"

int hl_config_kept_load(struct hl_config *ret_config, struct hl_err *err);

#endif
