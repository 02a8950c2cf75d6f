/* SPDX-License-Identifier: MIT */
/* An urlencoded form. A value that is found, encoded anew as the last field, is found again. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/content.h"
#include "model-router/form.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *find(const char *body, size_t len)
{
        struct hl_err err = { 0 };
        char *value = NULL;
        int r = hl_form_field(HL_FORM_TYPE, body, len, "b", &value, &err);
        if (r < 0 && (value || err.kind != HL_ERR_INVALID || !*err.message))
                abort();
        return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        HL_CLEANUP(hl_free_pointer) char *value = find((const char *)data, size);
        if (!value)
                return 0;
        if (!hl_utf8_valid(value, strlen(value)) || strlen(value) > HL_FIELD_VALUE_MAX)
                abort();
        struct hl_buf body = { 0 };
        hl_buf_add(&body, data, size);
        hl_buf_adds(&body, "&%62=");
        for (const char *s = value; *s; s++)
                hl_buf_addf(&body, "%%%02x", (unsigned char)*s);
        HL_CLEANUP(hl_free_pointer) char *again = find(body.data, body.len);
        if (!again || strcmp(again, value) != 0)
                abort();
        hl_buf_free(&body);
        return 0;
}
