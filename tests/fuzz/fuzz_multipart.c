/* The first line is a content type, the rest a body. A value that is found stands in the body, behind the end of a
 * part's headers; a form that is made of it gives it back. */
#include "base/mem.h"
#include "http/multipart.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOUNDARY "a boundary that no value holds"

static void read_back(const char *value)
{
        HL_CLEANUP(hl_free_pointer) char *again = NULL;
        HL_CLEANUP(hl_free_pointer)
        char *form = hl_format(
                "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n%s\r\n--" BOUNDARY "--", value);
        if (strstr(value, BOUNDARY))
                return;
        if (hl_multipart_field("multipart/form-data; boundary=\"" BOUNDARY "\"", form, strlen(form), "b", &again) !=
                    0 ||
            !again || strcmp(again, value) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data, *line_end = memchr(text, '\n', size);
        if (!line_end)
                return 0;
        HL_CLEANUP(hl_free_pointer) char *type = hl_strndup(text, (size_t)(line_end - text));
        HL_CLEANUP(hl_free_pointer) char *value = NULL;
        const char *body = line_end + 1;
        size_t len = size - (size_t)(body - text);
        hl_multipart_is(type);
        int r = hl_multipart_field(type, body, len, "b", &value);
        if ((r != 0 && r != -EINVAL) || (r < 0 && value))
                abort();
        if (!value)
                return 0;
        HL_CLEANUP(hl_free_pointer) char *there = hl_format("\r\n\r\n%s\r\n--", value);
        if (!memmem(body, len, there, strlen(there)))
                abort();
        read_back(value);
        return 0;
}
