/* SPDX-License-Identifier: MIT */
/* json.h - JSON, written and read strictly. json.c and json_walk.c are the only users of json-c.
 *
 * Shape    hl_json is json-c's object, opaque to everyone else.
 * Errors   reading takes one value, valid UTF-8, RFC 8259's grammar and no duplicate
 *          keys, all of which json-c alone lets pass in some form; what is wrong is told
 *          with its line. Writing cannot fail; bytes that are not UTF-8 become U+FFFD.
 * Owner    hl_json_set() and hl_json_push() take the child. Strings that hl_json_read()
 *          gives belong to the object read.
 * Source   RFC 8259; json-c.
 * Tests    tests/unit/base/test_json.c, tests/unit/model-router/test_json_find.c, tests/fuzz/fuzz_json.c
 */
#ifndef HL_BASE_JSON_H
#define HL_BASE_JSON_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_object hl_json;
struct hl_err;

hl_json *hl_json_new(void);          /* {}; hl_json_free() */
hl_json *hl_json_new_array(void);    /* []; hl_json_free() */
hl_json *hl_json_ref(hl_json *json); /* the same object, owned once more */
void hl_json_free(hl_json *json);
void hl_json_cleanup(hl_json **json); /* for HL_CLEANUP */

/* A key that is there already gets the new value. */
void hl_json_set(hl_json *object, const char *key, hl_json *child);
void hl_json_set_string(hl_json *object, const char *key, const char *value); /* NULL: null */
void hl_json_set_bool(hl_json *object, const char *key, bool value);
void hl_json_set_int(hl_json *object, const char *key, int64_t value);
void hl_json_set_int_or_null(hl_json *object, const char *key, bool is_known, uint64_t value);
void hl_json_set_decimal(hl_json *object, const char *key, double value, int digits); /* NaN: null */
void hl_json_set_time(hl_json *object, const char *key, uint64_t realtime_us);        /* RFC 3339; 0: null */
void hl_json_push(hl_json *array, hl_json *child);
void hl_json_push_string(hl_json *array, const char *value);

/* What is JSON already, to be set or pushed as a whole: it can only be printed. hl_json_free() */
hl_json *hl_json_new_text(const char *json);

/* Appends the text; hl_json_print(): and a line break. */
void hl_json_add_text(hl_json *json, struct hl_buf *out);
void hl_json_print(hl_json *json, struct hl_buf *out);

/* One JSON object and nothing else. *ret_object: hl_json_free(). Failures are INVALID,
 * with a message such as "line 3: the key \"port\" appears twice". */
int hl_json_parse(const char *text, size_t len, hl_json **ret_object, struct hl_err *err);

/* The line (from 1) on which the key of a dotted path such as "shutdown.default_minutes"
 * stands in a text that hl_json_parse() accepts; 1 where there is none. */
unsigned hl_json_line_of(const char *text, size_t len, const char *path);

enum hl_json_kind {
        HL_JSON_BOOL,    /* bool */
        HL_JSON_INTEGER, /* int64_t */
        HL_JSON_NUMBER,  /* double; NaN where null is allowed and given */
        HL_JSON_STRING,  /* const char *; NULL where null is allowed and given */
        HL_JSON_STRINGS, /* const hl_json *: an array of strings, for hl_json_string_at() */
        HL_JSON_OBJECT,  /* const hl_json *; NULL where null is allowed and given */
};

struct hl_json_field {
        const char *key;
        enum hl_json_kind kind;
        void *out;            /* untouched where the key is absent */
        const char *expected; /* for people: "a number above 0" */
        double min, max;      /* INTEGER and NUMBER: the bounds; STRING: max bytes, 0 for 255 */
        const char *choices;  /* STRING: comma-separated, or NULL */
        bool nullable;
        bool in_text; /* NUMBER: one in a string, such as "30" or " 0.5 ", counts too: templates make strings */
};

typedef void hl_json_problem_fn(void *data, const char *path, const char *problem);

/* Reads the fields of an object; `path` is its own ("" at the top). Every wrong value and
 * every unknown key is told to `problem`. Returns 0, or -EINVAL where anything was told. */
int hl_json_read(const hl_json *object, const char *path, const struct hl_json_field *fields, size_t field_count,
                 hl_json_problem_fn *problem, void *data);

size_t hl_json_length(const hl_json *array);
const char *hl_json_string_at(const hl_json *array, size_t index);

/* For what other programs answer, of which we need a part: NULL where the key is absent, of another
 * kind, or the object is NULL. A string with a NUL in it is none. */
const hl_json *hl_json_get_object(const hl_json *object, const char *key);
const hl_json *hl_json_get_array(const hl_json *object, const char *key);
const char *hl_json_get_string(const hl_json *object, const char *key);
int64_t hl_json_get_int(const hl_json *object, const char *key, int64_t otherwise);
bool hl_json_is_null(const hl_json *object, const char *key);         /* it is there, and null */
bool hl_json_has(const hl_json *object, const char *key);             /* it is there, whatever it is */
const hl_json *hl_json_object_at(const hl_json *array, size_t index); /* NULL: not an object */

#endif
