/* SPDX-License-Identifier: MIT */
/* What hl_json_parse() accepts is printed as something that it accepts again, and that prints the same;
 * hl_json_find_string() accepts it, too, and finds what it holds. */
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "model-router/json_find.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *data, const char *path, const char *problem)
{
        (void)data;
        if (!path || !*problem) /* the key "" is one */
                abort();
}

/* parsed: NULL where hl_json_parse() refused the text. */
static void find(const char *text, size_t size, const hl_json *parsed)
{
        struct hl_err err = { 0 };
        const char *expected = NULL;
        const struct hl_json_field field = { "b", HL_JSON_STRING, &expected, .max = 1e9 };
        HL_CLEANUP(hl_free_pointer) char *value = NULL;
        int r = hl_json_find_string(text, size, "b", &value, &err);
        if (r < 0 && (err.kind != HL_ERR_INVALID || value || (parsed && strcmp(err.code, "invalid_value") != 0)))
                abort();
        if (r == 0 && parsed && (!value || hl_utf8_valid(value, strlen(value)))) { /* json-c has no lone surrogates */
                hl_json_read(parsed, "", &field, 1, ignore, NULL);
                if (!expected != !value || (value && strcmp(value, expected) != 0))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data;
        struct hl_err err = { 0 };
        hl_json *first = NULL, *second = NULL;
        hl_json_line_of(text, size, "a.b");
        if (hl_json_parse(text, size, &first, &err) < 0) {
                if (err.kind != HL_ERR_INVALID || !*err.message || first)
                        abort();
                find(text, size, NULL);
                return 0;
        }
        find(text, size, first);

        double number = 0;
        const char *string = NULL;
        const hl_json *list = NULL;
        const struct hl_json_field fields[] = {
                { "a", HL_JSON_NUMBER, &number, NULL, 0, 10, .nullable = true },
                { "b", HL_JSON_STRING, &string, .choices = "one,two" },
                { "c", HL_JSON_STRINGS, &list },
        };
        hl_json_read(first, "", fields, 3, ignore, NULL);

        struct hl_buf once = { 0 }, twice = { 0 };
        hl_json_print(first, &once);
        if (!hl_utf8_valid(once.data, once.len) || hl_json_parse(once.data, once.len, &second, &err) < 0)
                abort();
        hl_json_print(second, &twice);
        if (strcmp(once.data, twice.data) != 0)
                abort();
        hl_json_free(first);
        hl_json_free(second);
        hl_buf_free(&once);
        hl_buf_free(&twice);
        return 0;
}
