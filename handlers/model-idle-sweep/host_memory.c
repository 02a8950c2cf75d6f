/* SPDX-License-Identifier: MIT */
#include "host_memory.h"

#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>

#define FILE_SIZE_MAX 4096 /* bytes */

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        (void)line;
        struct hl_host_memory *m = data;
        if (strcmp(name, "ACTED_US") == 0)
                hl_parse_uint(value, UINT64_MAX, &m->acted_us);
        else if (strcmp(name, "SHUTDOWN_AT_US") == 0)
                hl_parse_uint(value, UINT64_MAX, &m->shutdown_at_us);
}

void hl_host_memory_load(const char *file, struct hl_host_memory *ret_memory)
{
        struct hl_buf text = { 0 };
        *ret_memory = (struct hl_host_memory){ 0 };
        if (hl_read_file(AT_FDCWD, file, FILE_SIZE_MAX, &text) == 0 && text.len > 0)
                hl_envfile_parse(&(struct hl_envfile){ .text = text.data, .len = text.len }, assign, ret_memory, NULL);
        hl_buf_free(&text);
}

int hl_host_memory_save(const char *file, const struct hl_host_memory *m, struct hl_err *err)
{
        struct hl_buf text = { 0 };
        hl_buf_addf(&text, "ACTED_US=%llu\nSHUTDOWN_AT_US=%llu\n", (unsigned long long)m->acted_us,
                    (unsigned long long)m->shutdown_at_us);
        int r = hl_replace_file(file, text.data, text.len, 0644, (gid_t)-1);
        hl_buf_free(&text);
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", file, strerror(-r)) : 0;
}
