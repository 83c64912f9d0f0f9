/* text/value.h - one document tree for JSON, YAML, templates and data rows.
 *
 * A value never changes once its parser has returned; it lives in the arena it was parsed into and
 * borrows nothing else.  Maps keep the order of their keys; a duplicate key keeps the last value.
 * Thread-safety: immutable, share it freely. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

typedef enum mg_kind { MG_NULL, MG_BOOL, MG_INT, MG_FLOAT, MG_STRING, MG_LIST, MG_MAP } mg_kind;

typedef struct mg_entry mg_entry;

typedef struct mg_value {
    mg_kind kind;
    int32_t line;   /* 1-based place in the source; 0 = unknown */
    int32_t column; /* 1-based, in code points */
    bool plain;     /* a YAML scalar written without quotes */
    mg_str tag;     /* a local YAML tag such as "!function", else empty */
    mg_str source;  /* a YAML scalar as written, else empty; `1e-5` stays visible here */
    bool boolean;
    int64_t integer;
    double number;
    mg_str string; /* NUL-terminated behind its size */
    int64_t count; /* items of a list or entries of a map */
    struct mg_value *items;
    mg_entry *entries;
} mg_value;

struct mg_entry {
    mg_value key; /* nearly always MG_STRING */
    mg_value value;
    bool repeated; /* a YAML key that stands in its map more than once */
};

extern const mg_value mg_value_null;

/* The value of a string key in a map; NULL when v is no map or lacks it.  v may be NULL. */
const mg_value *mg_value_get(const mg_value *v, const char *key);
const mg_value *mg_value_get_str(const mg_value *v, mg_str key);
/* Follows "a.b.c" through nested maps. */
const mg_value *mg_value_path(const mg_value *v, const char *dotted_path);
bool mg_value_is_null(const mg_value *v); /* NULL or MG_NULL */
/* An MG_INT, or an MG_FLOAT with an integral value. */
bool mg_value_to_int(const mg_value *v, int64_t *value_out);
bool mg_value_to_double(const mg_value *v, double *value_out); /* MG_INT or MG_FLOAT */
/* Deep equality; 3 and 3.0 are equal, as in Python. */
bool mg_value_equal(const mg_value *a, const mg_value *b);
const char *mg_kind_name(mg_kind kind); /* "a number", "a list", for messages */

/* Constructors for trees built by hand (data rows, replies). */
mg_value mg_value_of_bool(bool b);
mg_value mg_value_of_int(int64_t i);
mg_value mg_value_of_double(double d);
mg_value mg_value_of_str(mg_arena *arena, mg_str s); /* copies */
/* A list or map with room for count; fill items[i] or entries[i]. */
mg_value mg_value_of_list(mg_arena *arena, int64_t count);
mg_value mg_value_of_map(mg_arena *arena, int64_t count);
mg_value mg_value_copy(mg_arena *arena, const mg_value *v); /* deep */

MG_END_C
