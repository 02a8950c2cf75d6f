/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "clock.h"
#include "err.h"
#include "json_walk.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_MAX_DEFAULT 255 /* bytes */
#define SHOWN_VALUE_MAX 60     /* bytes of a wrong value that a message repeats */

hl_json *hl_json_new(void)
{
        return json_object_new_object();
}

hl_json *hl_json_new_array(void)
{
        return json_object_new_array();
}

hl_json *hl_json_ref(hl_json *json)
{
        return json_object_get(json);
}

void hl_json_free(hl_json *json)
{
        json_object_put(json);
}

void hl_json_cleanup(hl_json **json)
{
        json_object_put(*json);
}

void hl_json_set(hl_json *object, const char *key, hl_json *child)
{
        json_object_object_add(object, key, child);
}

/* Every byte that is not part of a character becomes U+FFFD: json-c would write it through. */
static hl_json *new_string(const char *value)
{
        if (!value)
                return NULL;
        if (hl_utf8_valid(value, strlen(value)))
                return json_object_new_string(value);

        struct hl_buf clean = { 0 };
        while (*value) {
                size_t len = 1;
                while (len < 4 && value[len] && !hl_utf8_valid(value, len))
                        len++;
                bool valid = hl_utf8_valid(value, len);
                hl_buf_add(&clean, valid ? value : "\xEF\xBF\xBD", valid ? len : 3);
                value += valid ? len : 1;
        }
        hl_json *json = json_object_new_string_len(clean.data, (int)clean.len);
        hl_buf_free(&clean);
        return json;
}

void hl_json_set_string(hl_json *object, const char *key, const char *value)
{
        hl_json_set(object, key, new_string(value));
}

void hl_json_set_bool(hl_json *object, const char *key, bool value)
{
        hl_json_set(object, key, json_object_new_boolean(value));
}

void hl_json_set_int(hl_json *object, const char *key, int64_t value)
{
        hl_json_set(object, key, json_object_new_int64(value));
}

void hl_json_set_int_or_null(hl_json *object, const char *key, bool is_known, uint64_t value)
{
        hl_json_set(object, key, is_known ? json_object_new_int64((int64_t)value) : NULL);
}

void hl_json_set_decimal(hl_json *object, const char *key, double value, int digits)
{
        char text[64];
        snprintf(text, sizeof(text), "%.*f", digits, value);
        hl_json_set(object, key, isfinite(value) ? json_object_new_double_s(value, text) : NULL);
}

void hl_json_set_time(hl_json *object, const char *key, uint64_t realtime_us)
{
        char text[HL_RFC3339_SIZE];
        hl_json_set_string(object, key, realtime_us ? hl_format_rfc3339(realtime_us, text) : NULL);
}

void hl_json_push(hl_json *array, hl_json *child)
{
        json_object_array_add(array, child);
}

void hl_json_push_string(hl_json *array, const char *value)
{
        hl_json_push(array, new_string(value));
}

hl_json *hl_json_new_text(const char *json)
{
        hl_json *text = json_object_new_boolean(false); /* the smallest: what it is made of is never looked at */
        json_object_set_serializer(text, json_object_userdata_to_json_string, hl_strdup(json),
                                   json_object_free_userdata);
        return text;
}

void hl_json_add_text(hl_json *json, struct hl_buf *out)
{
        size_t len;
        const char *text =
                json_object_to_json_string_length(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        hl_buf_add(out, text, len);
}

void hl_json_print(hl_json *json, struct hl_buf *out)
{
        hl_json_add_text(json, out);
        hl_buf_add(out, "\n", 1);
}

/* json-c's reading functions do not all take const objects; they change nothing that can be seen. */
static hl_json *unconst(const hl_json *json)
{
        return (hl_json *)(uintptr_t)json;
}

static const char *kind_name(enum hl_json_kind kind)
{
        switch (kind) {
        case HL_JSON_BOOL:
                return "true or false";
        case HL_JSON_INTEGER:
                return "a whole number";
        case HL_JSON_NUMBER:
                return "a number";
        case HL_JSON_STRING:
                return "a string";
        case HL_JSON_STRINGS:
                return "an array of strings";
        case HL_JSON_OBJECT:
                return "an object";
        }
        return "something else";
}

static bool read_string(const hl_json *value, const struct hl_json_field *field)
{
        const char *text = json_object_get_string(unconst(value));
        size_t len = (size_t)json_object_get_string_len(value);
        size_t max = field->max > 0 ? (size_t)field->max : STRING_MAX_DEFAULT;
        if (len > max || memchr(text, '\0', len))
                return false;
        if (field->choices && !hl_in_list(field->choices, text, len))
                return false;
        *(const char **)field->out = text;
        return true;
}

/* "-12.5e3": digits, a point with digits, an exponent; so no "inf", no "0x1e", which strtod() would take. */
static bool is_decimal(const char *text)
{
        static const char digits[] = "0123456789";
        text += *text == '-' || *text == '+';
        size_t n = strspn(text, digits);
        text += n;
        if (n > 0 && *text == '.') {
                n = strspn(text + 1, digits);
                text += 1 + n;
        }
        if (n > 0 && (*text | 0x20) == 'e') {
                text += 1 + (text[1] == '-' || text[1] == '+');
                n = strspn(text, digits);
                text += n;
        }
        return n > 0 && !*text;
}

/* The number that a string is, white space around it apart; NaN: none. */
static double number_in_text(const hl_json *value)
{
        static const char white_space[] = " \t\n\r";
        const char *text = json_object_get_string(unconst(value));
        size_t len = (size_t)json_object_get_string_len(value);
        if (strlen(text) != len)
                return NAN;
        text += strspn(text, white_space);
        HL_CLEANUP(hl_free_pointer) char *trimmed = hl_strdup(text);
        for (len = strlen(trimmed); len > 0 && strchr(white_space, trimmed[len - 1]); len--)
                trimmed[len - 1] = '\0';
        return is_decimal(trimmed) ? strtod(trimmed, NULL) : NAN;
}

static bool all_strings(const hl_json *array)
{
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                hl_json *item = json_object_array_get_idx(array, i);
                if (!json_object_is_type(item, json_type_string) ||
                    strlen(json_object_get_string(item)) != (size_t)json_object_get_string_len(item))
                        return false;
        }
        return true;
}

/* False where the value is not what the field wants. */
static bool read_value(const hl_json *value, const struct hl_json_field *field)
{
        json_type type = json_object_get_type(value);
        if (!value && field->nullable && field->kind == HL_JSON_NUMBER) {
                *(double *)field->out = NAN;
                return true;
        }
        if (!value && field->nullable && field->kind == HL_JSON_STRING) {
                *(const char **)field->out = NULL;
                return true;
        }

        if (!value && field->nullable && field->kind == HL_JSON_OBJECT) {
                *(const hl_json **)field->out = NULL;
                return true;
        }
        double number = type == json_type_int || type == json_type_double ? json_object_get_double(value) : NAN;
        if (type == json_type_string && field->in_text)
                number = number_in_text(value);
        switch (field->kind) {
        case HL_JSON_BOOL:
                if (type != json_type_boolean)
                        return false;
                *(bool *)field->out = json_object_get_boolean(value);
                return true;
        case HL_JSON_INTEGER:
                if (type != json_type_int || number < field->min || number > field->max)
                        return false;
                *(int64_t *)field->out = json_object_get_int64(value);
                return true;
        case HL_JSON_NUMBER:
                if (!(number >= field->min && number <= field->max)) /* so that NaN is refused too */
                        return false;
                *(double *)field->out = number;
                return true;
        case HL_JSON_STRING:
                return type == json_type_string && read_string(value, field);
        case HL_JSON_STRINGS:
                if (type != json_type_array || !all_strings(value))
                        return false;
                *(const hl_json **)field->out = value;
                return true;
        case HL_JSON_OBJECT:
                if (type != json_type_object)
                        return false;
                *(const hl_json **)field->out = value;
                return true;
        }
        return false;
}

static void tell(hl_json_problem_fn *problem, void *data, const char *path, const char *key, char *sentence)
{
        HL_CLEANUP(hl_free_pointer) char *owned = sentence;
        HL_CLEANUP(hl_free_pointer) char *full = hl_format("%s%s%s", path, *path ? "." : "", key);
        hl_make_printable(full);
        hl_make_printable(owned);
        problem(data, full, owned);
}

static char *unknown_key(const struct hl_json_field *fields, size_t count)
{
        struct hl_buf text = { 0 };
        hl_buf_adds(&text, count ? "is not a known key; known here are" : "is not a known key; none is known here");
        for (size_t i = 0; i < count; i++)
                hl_buf_addf(&text, "%s %s", i ? "," : "", fields[i].key);
        return text.data;
}

int hl_json_read(const hl_json *object, const char *path, const struct hl_json_field *fields, size_t field_count,
                 hl_json_problem_fn *problem, void *data)
{
        int result = 0;
        json_object_object_foreach (unconst(object), key, value) {
                const struct hl_json_field *field = NULL;
                for (size_t i = 0; i < field_count; i++)
                        if (strcmp(fields[i].key, key) == 0)
                                field = &fields[i];
                if (!field) {
                        tell(problem, data, path, key, unknown_key(fields, field_count));
                        result = -EINVAL;
                } else if (!read_value(value, field)) {
                        const char *expected = field->expected ? field->expected : kind_name(field->kind);
                        tell(problem, data, path, key,
                             hl_format("must be %s, not %.*s", expected, SHOWN_VALUE_MAX,
                                       json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN)));
                        result = -EINVAL;
                }
        }
        return result;
}

size_t hl_json_length(const hl_json *array)
{
        return json_object_array_length(array);
}

const char *hl_json_string_at(const hl_json *array, size_t index)
{
        return json_object_get_string(json_object_array_get_idx(array, index));
}

static hl_json *find(const hl_json *object, const char *key, json_type type)
{
        hl_json *value = NULL;
        if (json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, key, &value) &&
            json_object_is_type(value, type))
                return value;
        return NULL;
}

const hl_json *hl_json_get_object(const hl_json *object, const char *key)
{
        return find(object, key, json_type_object);
}

const hl_json *hl_json_get_array(const hl_json *object, const char *key)
{
        return find(object, key, json_type_array);
}

const char *hl_json_get_string(const hl_json *object, const char *key)
{
        hl_json *value = find(object, key, json_type_string);
        const char *text = value ? json_object_get_string(value) : NULL;
        return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

int64_t hl_json_get_int(const hl_json *object, const char *key, int64_t otherwise)
{
        hl_json *value = find(object, key, json_type_int);
        return value ? json_object_get_int64(value) : otherwise;
}

bool hl_json_has(const hl_json *object, const char *key)
{
        return json_object_object_get_ex(object, key, NULL);
}

bool hl_json_is_null(const hl_json *object, const char *key)
{
        hl_json *value = NULL;
        return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, key, &value) &&
               !value;
}

const hl_json *hl_json_object_at(const hl_json *array, size_t index)
{
        hl_json *item = json_object_array_get_idx(array, index);
        return json_object_is_type(item, json_type_object) ? item : NULL;
}

int hl_json_parse(const char *text, size_t len, hl_json **ret_object, struct hl_err *err)
{
        int r = hl_json_walk(text, len, NULL, NULL, err);
        if (r < 0)
                return r;

        struct json_tokener *tokener = json_tokener_new();
        /* The walk was strict. With JSON_TOKENER_STRICT of json-c 0.18 a whole number of more than 64 bits would be no
         * JSON, nor a string value that is not ASCII. */
        json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
        hl_json *object = json_tokener_parse_ex(tokener, text, (int)len);
        enum json_tokener_error error = json_tokener_get_error(tokener);
        json_tokener_free(tokener);
        if (error != json_tokener_success || !json_object_is_type(object, json_type_object)) {
                hl_json_free(object);
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_json", "this must be one JSON object: %s",
                               json_tokener_error_desc(error));
        }
        *ret_object = object;
        return 0;
}
