/* SPDX-License-Identifier: MIT */
/* envfile_reading VERSION FILE…: what we read of each file as systemd VERSION would: "r\0" and then NAME=VALUE\0 sorted
 * as they came, and one more NUL. tests/system/test_envfile.py lays it beside what systemd itself reads. */
#include "base/buf.h"
#include "base/envfile.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned version;

static unsigned systemd(void)
{
        return version;
}

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        (void)data;
        (void)line;
        printf("%s=%s%c", name, value, 0);
}

int main(int argc, char **argv)
{
        version = (unsigned)atoi(argv[1]);
        for (int i = 2; i < argc; i++) {
                struct hl_buf text = { 0 };
                if (hl_read_file(AT_FDCWD, argv[i], SIZE_MAX, &text) < 0)
                        return 1;
                const struct hl_envfile file = {
                        .text = text.data ? text.data : "", .len = text.len, .path = argv[i], .systemd = systemd
                };
                int r = hl_envfile_parse(&file, assign, NULL, NULL);
                printf("result %d%c%c", r, 0, 0);
                hl_buf_free(&text);
        }
        return 0;
}
