/* SPDX-License-Identifier: MIT */
/* fields.h - what a route takes and gives, as tables: requests are read by them, and openapi.h describes them.
 *
 * Shape    const tables beside a program's routes. A list of fields of an answer ends with a key that is NULL.
 * Owner    nothing is owned: all of it is static.
 * Tests    tests/unit/http/test_routes.c, tests/doors/test_openapi.py
 */
#ifndef HL_HTTP_FIELDS_H
#define HL_HTTP_FIELDS_H

#include "base/json.h"

/* A query parameter: one of some words, a whole number, or any text. */
struct hl_parameter {
        const char *name;
        const char *about;
        const char *choices;  /* comma-separated; NULL: it is no word */
        const char *expected; /* of a number, for people: "a whole number from 1 to 10" */
        uint64_t min, max;    /* its bounds; max 0: it is no number */
};

/* A field of a body. */
struct hl_body_field {
        struct hl_json_field json; /* its .out stays NULL */
        size_t offset;             /* of the value, in what hl_context_read_body() fills */
        const char *missing;       /* the sentence where it was not sent; NULL: it need not be */
        const char *pattern;       /* what the route takes of a string: a regular expression of ECMA-262, or NULL */
};

/* What a value of an answer is; the bits are added to it. */
enum hl_reply_kind {
        HL_REPLY_STRING,
        HL_REPLY_TIME, /* RFC 3339 */
        HL_REPLY_BOOL,
        HL_REPLY_INTEGER,
        HL_REPLY_NUMBER,
        HL_REPLY_OBJECT, /* of a schema */
        HL_REPLY_KINDS,

        HL_REPLY_NULLABLE = 1 << 4, /* or null */
        HL_REPLY_OPTIONAL = 1 << 5, /* it may be absent */
        HL_REPLY_ARRAY = 1 << 6,    /* an array of these */
        HL_REPLY_BY_NAME = 1 << 7,  /* an object that has one for each name of a model */
};

struct hl_schema;

struct hl_reply_field {
        const char *key;
        unsigned kind; /* enum hl_reply_kind */
        const char *about;
        const struct hl_schema *schema; /* of an object */
        const char *choices;            /* of a string: comma-separated, or NULL */
};

/* An object that several answers have. */
struct hl_schema {
        const char *name; /* "Shutdown" */
        const struct hl_reply_field *fields;
};

/* An answer that refuses or fails. */
struct hl_route_error {
        int status; /* 0 ends a list */
        const char *code;
};

#endif
