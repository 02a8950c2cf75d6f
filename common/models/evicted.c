/* SPDX-License-Identifier: MIT */
#include "evicted.h"

#include "base/log.h"

#include <stddef.h>

void hl_evicted_log(const char *model, const char *why, const char *request_id)
{
        const struct hl_log_field fields[] = { { "MESSAGE_ID", HL_EVICTION_MESSAGE_ID },
                                               { "HL_MODEL", model },
                                               { "HL_REQUEST_ID", request_id },
                                               { NULL, NULL } };
        hl_log(LOG_NOTICE, fields, "%s", why);
}
