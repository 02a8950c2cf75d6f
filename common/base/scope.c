/* SPDX-License-Identifier: MIT */
#include "scope.h"

#include "mem.h"

#include <string.h>

/* From the least to the greatest. */
static const struct {
        const char *name;
        unsigned own, bits; /* those that name it; all that it has */
} scopes[] = {
        { "read", HL_SCOPE_READ | HL_SCOPE_LOGS, HL_SCOPE_READ | HL_SCOPE_LOGS },
        { "use", HL_SCOPE_USE, HL_SCOPE_USE },
        { "control", HL_SCOPE_CONTROL | HL_SCOPE_REPORT, HL_SCOPE_ALL & ~(unsigned)HL_SCOPE_POWER },
        { "power", HL_SCOPE_POWER, HL_SCOPE_ALL },
};

unsigned hl_scope_bits(const char *name)
{
        for (size_t i = 0; i < HL_COUNT(scopes); i++)
                if (strcmp(scopes[i].name, name) == 0)
                        return scopes[i].bits;
        return HL_SCOPE_NONE;
}

const char *hl_scope_name(unsigned bits)
{
        for (size_t i = HL_COUNT(scopes); i-- > 0;)
                if (bits & scopes[i].own)
                        return scopes[i].name;
        return "none";
}
