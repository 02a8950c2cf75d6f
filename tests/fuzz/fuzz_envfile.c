/* Every assignment has a name, a value and a line that the text has. */
#include "lab/envfile.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        unsigned lines, last;
        size_t bytes, size;
};

static void check_line(struct seen *seen, unsigned line)
{
        if (line < 1 || line > seen->lines || line < seen->last)
                abort();
        seen->last = line;
}

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        struct seen *seen = data;
        check_line(seen, line);
        if (!isalpha((unsigned char)*name) && *name != '_')
                abort();
        seen->bytes += strlen(name) + strlen(value);
        if (seen->bytes > seen->size)
                abort();
}

static void finding(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        check_line(data, line);
        if (strcmp(file, "FILE") != 0 || !key || !*message)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct seen seen = { .lines = 1, .size = size };
        for (size_t i = 0; i < size; i++)
                seen.lines += data[i] == '\n';
        hl_envfile_parse((const char *)data, size, assign, &seen, "FILE", finding, &seen);
        return 0;
}
