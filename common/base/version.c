/* SPDX-License-Identifier: MIT */
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool hl_version_asked(int argc, char **argv)
{
        if (argc != 2 || strcmp(argv[1], "--version") != 0 || getenv("GATEWAY_INTERFACE"))
                return false;
        const char *slash = strrchr(argv[0], '/');
        printf("%s %s\n", slash ? slash + 1 : argv[0], HL_VERSION);
        return true;
}
