/* SPDX-License-Identifier: MIT */
/* model_files.h - for tests of who keeps what he has read of models: whether a file was read.
 *
 * Shape    linked with --wrap of hl_read_file() and inotify_add_watch() (tests/tests.mk). A file of mode 0 is one that
 *          may not be read, by root neither.
 */
#ifndef HL_TESTS_UNIT_MODEL_FILES_H
#define HL_TESTS_UNIT_MODEL_FILES_H

#include "config/config.h"

extern unsigned test_reads; /* of any file */

struct hl_config test_models_config(const char *folder);

#endif
