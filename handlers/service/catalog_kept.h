/* SPDX-License-Identifier: MIT */
/* catalog_kept.h - the catalogue that a process keeps for as long as the kernel says that it is what the files say.
 *
 * Shape    from a process's second request on: one that answers only one request, as for a connection, pays nothing.
 *          Before each use the kernel is asked whether anything happened to the folder, to one of its files by whatever
 *          name, or to the mounts. Then all is read anew, as ever. The path to the folder, and links in it, are looked
 *          up each time. On a file system where the kernel does not see who else writes, as NFS, nothing is kept.
 * Errors   as hl_catalog_load(). What cannot be watched is read each time, and is no error.
 * Owner    hl_catalog_free(): requests share the models, which nobody changes.
 * Process  any thread.
 * Source   inotify(7), proc_pid_mountinfo(5). What is written through a mapping is told when its writer closes it.
 * Tests    tests/unit/service/test_catalog_kept.c, tests/system/test_looks.py
 */
#ifndef HL_SERVICE_CATALOG_KEPT_H
#define HL_SERVICE_CATALOG_KEPT_H

#include "config/catalog.h"

int hl_catalog_kept_load(const struct hl_config *config, struct hl_catalog *ret_catalog, struct hl_err *err);

#endif
