/* text/fields.h - reads a map of a document tree into a struct, by a table of its fields.
 *
 * Every mistake goes into an mg_diagnostics and reading goes on, so that one run shows them all.
 * Values are taken as pydantic's lax mode takes them (merging.md 1.1): "1e-5" for a number, true
 * for 1.0, 3.0 for 3.  An unknown key is a warning with the nearest known name, as mergekit ignores
 * it. null counts as absent.  Nothing is written for an absent field: the caller presets its
 * default.
 *
 *     typedef struct slice { mg_str model; int64_t layers; } slice;
 *     static const mg_field slice_fields[] = {
 *         { .name = "model", .kind = MG_FIELD_STRING, .offset = offsetof(slice, model),
 *           .required = true },
 *         { .name = "layers", .kind = MG_FIELD_INT, .offset = offsetof(slice, layers), .min = 1,
 *           .max = 1000, .bounded = true },
 *     };
 *     static const mg_fields slice_table = { "a slice", slice_fields,
 *                                            MG_ARRAY_COUNT(slice_fields), 0 };
 *
 * Thread-safety: pure functions over the caller's objects. */
#pragma once

#include "base/arena.h"
#include "text/diagnostics.h"
#include "text/value.h"

MG_BEGIN_C

typedef enum mg_field_kind {
    MG_FIELD_BOOL,    /* bool */
    MG_FIELD_INT,     /* int64_t */
    MG_FIELD_DOUBLE,  /* double */
    MG_FIELD_STRING,  /* mg_str; only a string will do */
    MG_FIELD_TEXT,    /* mg_str; any scalar, as it is written in the file (an unquoted 007) */
    MG_FIELD_CHOICE,  /* int: index of the string in choices */
    MG_FIELD_STRINGS, /* mg_field_list of mg_str; one string stands for a list of one */
    MG_FIELD_DOUBLES, /* mg_field_list of double; one number stands for a list of one */
    MG_FIELD_VALUE,   /* const mg_value *: the value as it is; the caller looks into it */
    MG_FIELD_MAP,     /* nested struct in place, read by table */
    MG_FIELD_LIST,    /* mg_field_list of structs of item_bytes each, read by table */
    MG_FIELD_CUSTOM,  /* read(): anything else */
    MG_FIELD_IGNORED  /* known, without effect */
} mg_field_kind;

/* A list in the arena. */
typedef struct mg_field_list {
    void *items;
    int64_t count;
} mg_field_list;

typedef struct mg_fields mg_fields;

/* What a reader of fields works with. */
typedef struct mg_field_context {
    mg_arena *arena;
    mg_diagnostics *diagnostics;
} mg_field_context;

/* Reads value into target (at the field's offset); reports its own mistakes. */
typedef bool mg_field_reader(const mg_field_context *context, const mg_value *value, void *target);

typedef struct mg_field {
    const char *name;
    mg_field_kind kind;
    size_t offset; /* bytes, in the struct */
    bool required;
    bool bounded; /* min and max hold, both inclusive (numbers, each item of DOUBLES) */
    double min;
    double max;
    size_t has_offset;          /* of a bool that becomes true when the field is there; 0 = none */
    const char *const *choices; /* of CHOICE, closed by NULL */
    const mg_fields *table;     /* of MAP and LIST */
    size_t item_bytes;          /* of LIST */
    const void *item_preset;    /* of LIST: defaults of one item; NULL = zeroed */
    mg_field_reader *read;      /* of CUSTOM */
} mg_field;

struct mg_fields {
    const char *what; /* "a slice", for messages */
    const mg_field *fields;
    int64_t count;
    bool unknown_is_mistake; /* else a warning */
};

/* Reads map into target.  False when this or anything below was reported as a mistake.  Strings and
 * lists live in context->arena or in the tree. */
bool mg_fields_read(const mg_fields *table, const mg_value *map, void *target,
                    const mg_field_context *context);

/* The lax readings by themselves; false without a report when value does not fit. */
bool mg_lax_bool(const mg_value *value, bool *bool_out);
bool mg_lax_int(const mg_value *value, int64_t *integer_out);
bool mg_lax_double(const mg_value *value, double *number_out);

/* The same with a report ("'density' is a list, must be a number"). */
bool mg_field_double(const mg_field_context *context, const char *name, const mg_value *value,
                     double *number_out);
bool mg_field_int(const mg_field_context *context, const char *name, const mg_value *value,
                  int64_t *integer_out);

/* A short form of a value for messages: `'abc'`, `1.4`, `a list`. */
mg_str mg_field_show(mg_arena *arena, const mg_value *value);

MG_END_C
