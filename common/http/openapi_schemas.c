/* SPDX-License-Identifier: MIT */
#include "openapi_schemas.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define STRING_MAX_DEFAULT 255 /* bytes, as hl_json_read() has it */
#define DIGITS 20              /* behind the point, with which a double is read as it was */
#define NUMBER_IN_TEXT "^[ \\t\\n\\r]*[-+]?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?[ \\t\\n\\r]*$"

static hl_json *new_reference(const struct hl_schema *schema)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("#/components/schemas/%s", schema->name);
        hl_json *json = hl_json_new();
        hl_json_set_string(json, "$ref", path);
        return json;
}

/* Comma-separated words. */
static hl_json *new_words(const char *list)
{
        hl_json *words = hl_json_new_array();
        const char *each;
        size_t len;
        while ((each = hl_next_word(&list, &len))) {
                HL_CLEANUP(hl_free_pointer) char *word = hl_strndup(each, len);
                hl_json_push_string(words, word);
        }
        return words;
}

static void set_number(hl_json *json, const char *key, double value)
{
        hl_json_set_decimal(json, key, value, value == (double)(int64_t)value ? 0 : DIGITS);
}

/* ---- what a request brings ---- */

static hl_json *new_type(const char *type, bool or_null)
{
        hl_json *json = hl_json_new();
        if (!or_null) {
                hl_json_set_string(json, "type", type);
                return json;
        }
        hl_json *types = hl_json_new_array();
        hl_json_push_string(types, type);
        hl_json_push_string(types, "null");
        hl_json_set(json, "type", types);
        return json;
}

static hl_json *new_number_field(const struct hl_json_field *field)
{
        hl_json *number = new_type(field->kind == HL_JSON_INTEGER ? "integer" : "number", field->nullable);
        set_number(number, "minimum", field->min);
        set_number(number, "maximum", field->max);
        if (!field->in_text)
                return number;
        hl_json *text = new_type("string", false), *both = hl_json_new_array(), *either = hl_json_new();
        hl_json_set_string(text, "pattern", NUMBER_IN_TEXT);
        hl_json_push(both, number);
        hl_json_push(both, text);
        hl_json_set(either, "anyOf", both);
        return either;
}

/* any_length: it is not read by hl_json_read(), which bounds it. */
static hl_json *new_field(const struct hl_json_field *field, bool any_length)
{
        hl_json *json = NULL;
        switch (field->kind) {
        case HL_JSON_BOOL:
                json = new_type("boolean", false);
                break;
        case HL_JSON_INTEGER:
        case HL_JSON_NUMBER:
                json = new_number_field(field);
                break;
        case HL_JSON_STRING:
                json = new_type("string", field->nullable);
                if (field->choices)
                        hl_json_set(json, "enum", new_words(field->choices));
                else if (!any_length)
                        hl_json_set_int(json, "maxLength", field->max > 0 ? (int64_t)field->max : STRING_MAX_DEFAULT);
                break;
        case HL_JSON_STRINGS:
                json = new_type("array", false);
                hl_json_set(json, "items", new_type("string", false));
                break;
        case HL_JSON_OBJECT:
                json = new_type("object", false);
                break;
        }
        if (field->expected)
                hl_json_set_string(json, "description", field->expected);
        return json;
}

hl_json *hl_openapi_body(const struct hl_route *route)
{
        hl_json *properties = hl_json_new(), *needed = hl_json_new_array(), *schema = new_type("object", false);
        for (size_t i = 0; i < route->body_count; i++) {
                const struct hl_body_field *field = &route->body[i];
                hl_json *json = new_field(&field->json, route->flags & HL_ROUTE_FOREIGN);
                if (field->pattern)
                        hl_json_set_string(json, "pattern", field->pattern);
                hl_json_set(properties, field->json.key, json);
                if (field->missing)
                        hl_json_push_string(needed, field->json.key);
        }
        hl_json_set(schema, "properties", properties);
        hl_json_set(schema, "required", needed);
        hl_json_set_bool(schema, "additionalProperties", route->flags & HL_ROUTE_FOREIGN);
        if (route->either[0]) {
                hl_json *both = hl_json_new(), *keys = hl_json_new_array();
                hl_json_push_string(keys, route->either[0]);
                hl_json_push_string(keys, route->either[1]);
                hl_json_set(both, "required", keys);
                hl_json_set(schema, "not", both);
        }
        return schema;
}

hl_json *hl_openapi_parameter(const struct hl_parameter *p)
{
        hl_json *schema = new_type(p->max > 0 ? "integer" : "string", false);
        if (p->choices)
                hl_json_set(schema, "enum", new_words(p->choices));
        if (p->max > 0) {
                hl_json_set_int(schema, "minimum", (int64_t)p->min);
                hl_json_set_int(schema, "maximum", (int64_t)p->max);
        }
        return schema;
}

/* ---- what an answer has ---- */

/* Each kind of a value has its type. */
static const char *const types[HL_REPLY_KINDS] = {
        [HL_REPLY_STRING] = "string",   [HL_REPLY_TIME] = "string",   [HL_REPLY_BOOL] = "boolean",
        [HL_REPLY_INTEGER] = "integer", [HL_REPLY_NUMBER] = "number", [HL_REPLY_OBJECT] = "object"
};
#define KIND_MASK (HL_REPLY_NULLABLE - 1)

static hl_json *or_null(hl_json *json)
{
        hl_json *either = hl_json_new(), *both = hl_json_new_array();
        hl_json_push(both, json);
        hl_json_push(both, new_type("null", false));
        hl_json_set(either, "anyOf", both);
        return either;
}

static hl_json *new_value(const struct hl_reply_field *field)
{
        unsigned kind = field->kind & KIND_MASK;
        bool is_plain = !(field->kind & (HL_REPLY_ARRAY | HL_REPLY_BY_NAME)), is_object = kind == HL_REPLY_OBJECT,
             nullable = field->kind & HL_REPLY_NULLABLE;
        hl_json *item = is_object ? new_reference(field->schema) : new_type(types[kind], is_plain && nullable);
        if (kind == HL_REPLY_TIME)
                hl_json_set_string(item, "format", "date-time");
        if (field->choices) {
                hl_json *words = new_words(field->choices);
                if (is_plain && nullable)
                        hl_json_push(words, NULL);
                hl_json_set(item, "enum", words);
        }
        if (is_plain)
                return is_object && nullable ? or_null(item) : item;
        hl_json *all = new_type(field->kind & HL_REPLY_ARRAY ? "array" : "object", nullable);
        hl_json_set(all, field->kind & HL_REPLY_ARRAY ? "items" : "additionalProperties", item);
        return all;
}

/* is_bare: there is no "status" at its top. */
hl_json *hl_openapi_object(const struct hl_reply_field *fields, bool is_bare)
{
        hl_json *schema = new_type("object", false), *properties = hl_json_new(), *needed = hl_json_new_array();
        if (!is_bare) {
                hl_json *status = hl_json_new();
                hl_json_set_string(status, "const", "success");
                hl_json_set(properties, "status", status);
                hl_json_push_string(needed, "status");
        }
        for (const struct hl_reply_field *field = fields; field->key; field++) {
                hl_json *value = new_value(field);
                hl_json_set_string(value, "description", field->about);
                hl_json_set(properties, field->key, value);
                if (!(field->kind & HL_REPLY_OPTIONAL))
                        hl_json_push_string(needed, field->key);
        }
        hl_json_set(schema, "properties", properties);
        hl_json_set(schema, "required", needed);
        return schema;
}

/* Those that the fields name, and those that these name. */
void hl_openapi_add_schemas(hl_json *schemas, const struct hl_reply_field *fields)
{
        for (; fields && fields->key; fields++)
                if (fields->schema && !hl_json_has(schemas, fields->schema->name)) {
                        hl_json_set(schemas, fields->schema->name, hl_openapi_object(fields->schema->fields, true));
                        hl_openapi_add_schemas(schemas, fields->schema->fields);
                }
}
