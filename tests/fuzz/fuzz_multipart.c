/* SPDX-License-Identifier: MIT */
/* The first line is a content type, the rest a body. A value that is found, unless its part has an encoding or a
 * charset, stands in the body behind an empty line; a form that is made of it gives it back. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/content.h"
#include "model-router/multipart.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOUNDARY "a boundary that no value holds"

static bool has(const char *body, size_t len, const char *word)
{
        for (size_t i = 0; i + strlen(word) <= len; i++)
                if (strncasecmp(body + i, word, strlen(word)) == 0)
                        return true;
        return false;
}

static void read_back(const char *value)
{
        HL_CLEANUP(hl_free_pointer) char *again = NULL;
        HL_CLEANUP(hl_free_pointer)
        char *form = hl_format(
                "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n%s\r\n--" BOUNDARY "--", value);
        struct hl_err err = { 0 };
        if (strstr(value, BOUNDARY))
                return;
        if (hl_multipart_field("multipart/form-data; boundary=\"" BOUNDARY "\"", form, strlen(form), "b", &again,
                               &err) < 0 ||
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
        struct hl_err err = { 0 };
        hl_content_is_json(type);
        int r = hl_multipart_field(type, body, len, "b", &value, &err);
        if ((r != 0 && r != -EINVAL) || (r < 0 && (value || err.kind != HL_ERR_INVALID || !*err.message)))
                abort();
        if (!value)
                return 0;
        if (!hl_utf8_valid(value, strlen(value)) || strlen(value) > 2 * HL_FIELD_VALUE_MAX)
                abort();
        if (!memmem(body, len, value, strlen(value)) && !has(body, len, "transfer-encoding") &&
            !has(body, len, "charset"))
                abort();
        read_back(value);
        return 0;
}
