/* SPDX-License-Identifier: MIT */
#include "marks.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int gate_marks_read(const struct hl_catalog *catalog, struct hl_ledger *ret_ledger, struct hl_err *err)
{
        struct hl_ledger ledger = { 0 };
        const char *folder = hl_unit_start_folder();
        if (access(folder, R_OK | X_OK) < 0)
                return hl_fail(err, HL_ERR_BUSY, errno, "bus_unavailable", "there is no bus, and %s: %s", folder,
                               strerror(errno));
        for (size_t i = 0; i < catalog->count; i++) {
                uint64_t begun_us = hl_unit_start_hint(catalog->models[i].unit);
                if (begun_us == 0)
                        continue;
                hl_ledger_add(&ledger, &catalog->models[i], HL_UNIT_ACTIVE);
                ledger.holders[ledger.count - 1].begun_us = begun_us;
        }
        *ret_ledger = ledger;
        return 0;
}
