/* text/value.c - access to and construction of document trees. */
#include "text/value.h"

#include <math.h>

const mg_value mg_value_null = { 0 };

const mg_value *mg_value_get_str(const mg_value *v, mg_str key)
{
    if (v == NULL || v->kind != MG_MAP) {
        return NULL;
    }
    for (int64_t i = 0; i < v->count; i++) {
        const mg_entry *entry = &v->entries[i];
        if (entry->key.kind == MG_STRING && mg_str_equal(entry->key.string, key)) {
            return &entry->value;
        }
    }
    return NULL;
}

const mg_value *mg_value_get(const mg_value *v, const char *key)
{
    return mg_value_get_str(v, mg_str_of(key));
}

const mg_value *mg_value_path(const mg_value *v, const char *dotted_path)
{
    mg_str rest = mg_str_of(dotted_path);
    mg_str part;
    while (v != NULL && mg_str_split(&rest, '.', &part)) {
        v = mg_value_get_str(v, part);
    }
    return v;
}

bool mg_value_is_null(const mg_value *v)
{
    return v == NULL || v->kind == MG_NULL;
}

bool mg_value_to_int(const mg_value *v, int64_t *value_out)
{
    if (v == NULL) {
        return false;
    }
    if (v->kind == MG_INT) {
        *value_out = v->integer;
        return true;
    }
    /* Both bounds are exact doubles; 2^63 itself does not fit. */
    if (v->kind == MG_FLOAT && v->number >= -9223372036854775808.0 &&
        v->number < 9223372036854775808.0 && floor(v->number) == v->number) {
        *value_out = (int64_t)v->number;
        return true;
    }
    return false;
}

bool mg_value_to_double(const mg_value *v, double *value_out)
{
    if (v == NULL) {
        return false;
    }
    if (v->kind == MG_INT) {
        *value_out = (double)v->integer;
        return true;
    }
    if (v->kind == MG_FLOAT) {
        *value_out = v->number;
        return true;
    }
    return false;
}

/* Booleans are the integers 0 and 1 here, as in Python. */
static bool numeric(const mg_value *v, int64_t *integer_out, double *number_out)
{
    *integer_out = v->kind == MG_BOOL ? (int64_t)v->boolean : v->integer;
    *number_out = v->kind == MG_FLOAT ? v->number : (double)*integer_out;
    return v->kind == MG_BOOL || v->kind == MG_INT || v->kind == MG_FLOAT;
}

static bool maps_equal(const mg_value *a, const mg_value *b)
{
    for (int64_t i = 0; i < a->count; i++) {
        const mg_value *other = NULL;
        /* Equal maps mostly have the same order: try the same place first. */
        for (int64_t j = 0; j < b->count && other == NULL; j++) {
            const mg_entry *entry = &b->entries[(i + j) % b->count];
            if (mg_value_equal(&entry->key, &a->entries[i].key)) {
                other = &entry->value;
            }
        }
        if (other == NULL || !mg_value_equal(&a->entries[i].value, other)) {
            return false;
        }
    }
    return true;
}

bool mg_value_equal(const mg_value *a, const mg_value *b)
{
    int64_t a_integer;
    int64_t b_integer;
    double a_number;
    double b_number;
    bool a_numeric = numeric(a, &a_integer, &a_number);
    bool b_numeric = numeric(b, &b_integer, &b_number);
    if (a_numeric && b_numeric) {
        if (a->kind != MG_FLOAT && b->kind != MG_FLOAT) {
            return a_integer == b_integer;
        }
        if (a->kind == MG_FLOAT && b->kind == MG_FLOAT) {
            return a_number == b_number;
        }
        /* An integer against a float: exactly, also above 2^53. */
        int64_t integer;
        return mg_value_to_int(a->kind == MG_FLOAT ? a : b, &integer) &&
               integer == (a->kind == MG_FLOAT ? b_integer : a_integer);
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case MG_STRING:
        return mg_str_equal(a->string, b->string);
    case MG_LIST:
        if (a->count != b->count) {
            return false;
        }
        for (int64_t i = 0; i < a->count; i++) {
            if (!mg_value_equal(&a->items[i], &b->items[i])) {
                return false;
            }
        }
        return true;
    case MG_MAP:
        return a->count == b->count && maps_equal(a, b);
    default:
        return true; /* two nulls */
    }
}

const char *mg_kind_name(mg_kind kind)
{
    switch (kind) {
    case MG_NULL:
        return "nothing";
    case MG_BOOL:
        return "true or false";
    case MG_INT:
        return "an integer";
    case MG_FLOAT:
        return "a number";
    case MG_STRING:
        return "a string";
    case MG_LIST:
        return "a list";
    case MG_MAP:
        return "a map";
    }
    return "an unknown value";
}

mg_value mg_value_of_bool(bool b)
{
    mg_value v = mg_value_null;
    v.kind = MG_BOOL;
    v.boolean = b;
    return v;
}

mg_value mg_value_of_int(int64_t i)
{
    mg_value v = mg_value_null;
    v.kind = MG_INT;
    v.integer = i;
    return v;
}

mg_value mg_value_of_double(double d)
{
    mg_value v = mg_value_null;
    v.kind = MG_FLOAT;
    v.number = d;
    return v;
}

mg_value mg_value_of_str(mg_arena *arena, mg_str s)
{
    mg_value v = mg_value_null;
    v.kind = MG_STRING;
    v.string = mg_arena_copy(arena, s);
    return v;
}

mg_value mg_value_of_list(mg_arena *arena, int64_t count)
{
    mg_value v = mg_value_null;
    v.kind = MG_LIST;
    v.count = count;
    v.items = count > 0 ? mg_arena_array(arena, mg_value, count) : NULL;
    return v;
}

mg_value mg_value_of_map(mg_arena *arena, int64_t count)
{
    mg_value v = mg_value_null;
    v.kind = MG_MAP;
    v.count = count;
    v.entries = count > 0 ? mg_arena_array(arena, mg_entry, count) : NULL;
    return v;
}

mg_value mg_value_copy(mg_arena *arena, const mg_value *v)
{
    mg_value copy = *v;
    copy.tag = v->tag.size > 0 ? mg_arena_copy(arena, v->tag) : v->tag;
    copy.source = v->source.size > 0 ? mg_arena_copy(arena, v->source) : v->source;
    if (v->kind == MG_STRING) {
        copy.string = mg_arena_copy(arena, v->string);
    } else if (v->kind == MG_LIST && v->count > 0) {
        copy.items = mg_arena_array(arena, mg_value, v->count);
        for (int64_t i = 0; i < v->count; i++) {
            copy.items[i] = mg_value_copy(arena, &v->items[i]);
        }
    } else if (v->kind == MG_MAP && v->count > 0) {
        copy.entries = mg_arena_array(arena, mg_entry, v->count);
        for (int64_t i = 0; i < v->count; i++) {
            copy.entries[i].key = mg_value_copy(arena, &v->entries[i].key);
            copy.entries[i].value = mg_value_copy(arena, &v->entries[i].value);
        }
    }
    return copy;
}
