/* SPDX-License-Identifier: MIT */
#include "password.h"

#include "nginx/files.h"

#include <string.h>

static void look(void *data, const struct hl_nginx_directive *directive)
{
        bool *asks = data;
        if (directive->count > 1 && strcmp(directive->words[0], "auth_basic") == 0)
                *asks |= strcmp(directive->words[1], "off") != 0;
}

bool hl_nginx_asks_password(const char *conf)
{
        bool asks = false;
        hl_nginx_files_walk(conf, look, &asks);
        return asks;
}
