/* text/fields.c - table-driven reading of maps, with all mistakes reported. */
#include "text/fields.h"

#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

#define SHOWN_BYTES_MAX 60

mg_str mg_field_show(mg_arena *arena, const mg_value *value)
{
    switch (value->kind) {
    case MG_STRING:
        if (value->string.size > SHOWN_BYTES_MAX) {
            /* Cut between code points. */
            size_t end = SHOWN_BYTES_MAX;
            while (end > 0 && ((unsigned char)value->string.data[end] & 0xC0) == 0x80) {
                end--;
            }
            return mg_arena_printf(arena, "'%.*s...'", (int)end, value->string.data);
        }
        return mg_arena_printf(arena, "'%.*s'", MG_STR_ARG(value->string));
    case MG_BOOL:
        return mg_str_of(value->boolean ? "true" : "false");
    case MG_INT:
        return mg_arena_printf(arena, "%lld", (long long)value->integer);
    case MG_FLOAT: {
        mg_buf buf = { 0 };
        mg_buf_add_double(&buf, value->number);
        mg_str text = mg_arena_copy(arena, mg_buf_view(&buf));
        mg_buf_release(&buf);
        return text;
    }
    default:
        return mg_str_of(mg_kind_name(value->kind));
    }
}

bool mg_lax_bool(const mg_value *value, bool *bool_out)
{
    static const char *const yes[] = { "1", "on", "t", "true", "y", "yes" };
    static const char *const no[] = { "0", "off", "f", "false", "n", "no" };
    if (value->kind == MG_BOOL) {
        *bool_out = value->boolean;
        return true;
    }
    double number;
    if (mg_value_to_double(value, &number)) {
        *bool_out = number != 0.0;
        return number == 0.0 || number == 1.0;
    }
    if (value->kind != MG_STRING) {
        return false;
    }
    mg_buf lower = { 0 };
    mg_unicode_lower(&lower, value->string);
    bool is_yes = false;
    bool is_no = false;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(yes); i++) {
        is_yes = is_yes || mg_str_is(mg_buf_view(&lower), yes[i]);
        is_no = is_no || mg_str_is(mg_buf_view(&lower), no[i]);
    }
    mg_buf_release(&lower);
    *bool_out = is_yes;
    return is_yes || is_no;
}

/* A number in a string, white space around it allowed and "_" between digits. */
static bool number_of_string(mg_str text, double *number_out)
{
    char digits[64];
    size_t size = 0;
    text = mg_unicode_trim(text, true, true);
    for (size_t i = 0; i < text.size; i++) {
        bool between = i > 0 && i + 1 < text.size && text.data[i - 1] >= '0' &&
                       text.data[i - 1] <= '9' && text.data[i + 1] >= '0' &&
                       text.data[i + 1] <= '9';
        if (text.data[i] == '_' && between) {
            continue;
        }
        if (size + 1 >= sizeof(digits) || text.data[i] == 'x' || text.data[i] == 'X') {
            return false;
        }
        digits[size++] = text.data[i];
    }
    return size > 0 && mg_str_to_double(mg_str_make(digits, size), number_out);
}

bool mg_lax_double(const mg_value *value, double *number_out)
{
    if (value->kind == MG_BOOL) {
        *number_out = value->boolean ? 1.0 : 0.0;
        return true;
    }
    return mg_value_to_double(value, number_out) ||
           (value->kind == MG_STRING && number_of_string(value->string, number_out));
}

bool mg_lax_int(const mg_value *value, int64_t *integer_out)
{
    if (value->kind == MG_BOOL) {
        *integer_out = value->boolean ? 1 : 0;
        return true;
    }
    if (mg_value_to_int(value, integer_out)) {
        return true;
    }
    if (value->kind != MG_STRING) {
        return false;
    }
    if (mg_str_to_int(mg_unicode_trim(value->string, true, true), integer_out)) {
        return true;
    }
    mg_value number = mg_value_of_double(0.0);
    return number_of_string(value->string, &number.number) && mg_value_to_int(&number, integer_out);
}

static bool wrong_kind(const mg_field_context *context, const char *name, const mg_value *value,
                       const char *expected)
{
    mg_str shown = mg_field_show(&context->diagnostics->arena, value);
    mg_diagnose(context->diagnostics, value, "'%s' is %.*s, must be %s", name, MG_STR_ARG(shown),
                expected);
    return false;
}

bool mg_field_double(const mg_field_context *context, const char *name, const mg_value *value,
                     double *number_out)
{
    return mg_lax_double(value, number_out) || wrong_kind(context, name, value, "a number");
}

bool mg_field_int(const mg_field_context *context, const char *name, const mg_value *value,
                  int64_t *integer_out)
{
    return mg_lax_int(value, integer_out) || wrong_kind(context, name, value, "an integer");
}

static bool in_bounds(const mg_field_context *context, const mg_field *field, const mg_value *value,
                      double number)
{
    if (!field->bounded || (number >= field->min && number <= field->max)) {
        return true;
    }
    mg_str shown = mg_field_show(&context->diagnostics->arena, value);
    if (isinf(field->max)) {
        mg_diagnose(context->diagnostics, value, "'%s' is %.*s, must be at least %.15g",
                    field->name, MG_STR_ARG(shown), field->min);
    } else {
        mg_diagnose(context->diagnostics, value, "'%s' is %.*s, must be in [%.15g, %.15g]",
                    field->name, MG_STR_ARG(shown), field->min, field->max);
    }
    return false;
}

static bool read_choice(const mg_field_context *context, const mg_field *field,
                        const mg_value *value, int *index_out)
{
    if (value->kind != MG_STRING) {
        return wrong_kind(context, field->name, value, "a string");
    }
    int count = 0;
    for (; field->choices[count] != NULL; count++) {
        if (mg_str_is(value->string, field->choices[count])) {
            *index_out = count;
            return true;
        }
    }
    const char *nearest = mg_str_nearest(value->string, field->choices, count);
    mg_str shown = mg_field_show(&context->diagnostics->arena, value);
    if (nearest != NULL) {
        mg_diagnose(context->diagnostics, value, "'%s' is %.*s, did you mean '%s'?", field->name,
                    MG_STR_ARG(shown), nearest);
        return false;
    }
    mg_buf known = { 0 };
    for (int i = 0; i < count; i++) {
        mg_buf_printf(&known, "%s%s", i == 0 ? "" : ", ", field->choices[i]);
    }
    mg_diagnose(context->diagnostics, value, "'%s' is %.*s, must be one of %.*s", field->name,
                MG_STR_ARG(shown), MG_STR_ARG(mg_buf_view(&known)));
    mg_buf_release(&known);
    return false;
}

static bool read_text(const mg_field_context *context, const mg_field *field, const mg_value *value,
                      mg_str *text_out)
{
    if (value->kind == MG_STRING) {
        *text_out = value->string;
        return true;
    }
    if (value->kind == MG_LIST || value->kind == MG_MAP) {
        return wrong_kind(context, field->name, value, "a string");
    }
    *text_out = value->source.size > 0 ? value->source : mg_field_show(context->arena, value);
    return true;
}

/* STRINGS and DOUBLES: a list, or one value that stands for a list of one. */
static bool read_scalars(const mg_field_context *context, const mg_field *field,
                         const mg_value *value, mg_field_list *list_out)
{
    const mg_value *items = value->kind == MG_LIST ? value->items : value;
    int64_t count = value->kind == MG_LIST ? value->count : 1;
    bool ok = true;
    list_out->count = count;
    if (field->kind == MG_FIELD_STRINGS) {
        mg_str *strings = mg_arena_array(context->arena, mg_str, count);
        list_out->items = strings;
        for (int64_t i = 0; i < count; i++) {
            strings[i] = items[i].string;
            if (items[i].kind != MG_STRING) {
                ok = wrong_kind(context, field->name, &items[i], "a string or a list of strings");
            }
        }
        return ok;
    }
    double *numbers = mg_arena_array(context->arena, double, count);
    list_out->items = numbers;
    for (int64_t i = 0; i < count; i++) {
        if (!mg_lax_double(&items[i], &numbers[i])) {
            ok = wrong_kind(context, field->name, &items[i], "a number or a list of numbers");
        } else {
            ok = in_bounds(context, field, &items[i], numbers[i]) && ok;
        }
    }
    return ok;
}

static bool read_list(const mg_field_context *context, const mg_field *field, const mg_value *value,
                      mg_field_list *list_out)
{
    if (value->kind != MG_LIST) {
        return wrong_kind(context, field->name, value, "a list");
    }
    bool ok = true;
    char *items = (char *)mg_arena_alloc(context->arena, value->count, field->item_bytes);
    for (int64_t i = 0; i < value->count; i++) {
        char *item = items + (size_t)i * field->item_bytes;
        if (field->item_preset != NULL) {
            memcpy(item, field->item_preset, field->item_bytes);
        }
        ok = mg_fields_read(field->table, &value->items[i], item, context) && ok;
    }
    list_out->items = items;
    list_out->count = value->count;
    return ok;
}

static bool read_field(const mg_field_context *context, const mg_field *field,
                       const mg_value *value, void *target)
{
    switch (field->kind) {
    case MG_FIELD_BOOL:
        return mg_lax_bool(value, (bool *)target) ||
               wrong_kind(context, field->name, value, "true or false");
    case MG_FIELD_INT:
        return mg_field_int(context, field->name, value, (int64_t *)target) &&
               in_bounds(context, field, value, (double)*(int64_t *)target);
    case MG_FIELD_DOUBLE:
        return mg_field_double(context, field->name, value, (double *)target) &&
               in_bounds(context, field, value, *(double *)target);
    case MG_FIELD_STRING:
        if (value->kind != MG_STRING) {
            return wrong_kind(context, field->name, value, "a string (in quotes)");
        }
        *(mg_str *)target = value->string;
        return true;
    case MG_FIELD_TEXT:
        return read_text(context, field, value, (mg_str *)target);
    case MG_FIELD_CHOICE:
        return read_choice(context, field, value, (int *)target);
    case MG_FIELD_STRINGS:
    case MG_FIELD_DOUBLES:
        return read_scalars(context, field, value, (mg_field_list *)target);
    case MG_FIELD_VALUE:
        *(const mg_value **)target = value;
        return true;
    case MG_FIELD_MAP:
        return mg_fields_read(field->table, value, target, context);
    case MG_FIELD_LIST:
        return read_list(context, field, value, (mg_field_list *)target);
    case MG_FIELD_CUSTOM:
        return field->read(context, value, target);
    case MG_FIELD_IGNORED:
        return true;
    }
    return false;
}

static bool report_unknown(const mg_fields *table, const mg_value *key,
                           const mg_field_context *context)
{
    const char **names = mg_arena_array(&context->diagnostics->arena, const char *, table->count);
    for (int64_t i = 0; i < table->count; i++) {
        names[i] = table->fields[i].name;
    }
    mg_str shown = mg_field_show(&context->diagnostics->arena, key);
    if (key->kind == MG_STRING) {
        shown = mg_str_make(shown.data + 1, shown.size - 2);
    }
    const char *nearest =
        key->kind == MG_STRING ? mg_str_nearest(key->string, names, table->count) : NULL;
    mg_str hint = nearest == NULL ? mg_str_of("")
                                  : mg_arena_printf(&context->diagnostics->arena,
                                                    ", did you mean '%s'?", nearest);
    if (table->unknown_is_mistake) {
        mg_diagnose(context->diagnostics, key, "unknown key '%.*s' in %s%.*s", MG_STR_ARG(shown),
                    table->what, MG_STR_ARG(hint));
        return false;
    }
    mg_diagnose_warn(context->diagnostics, key, "unknown key '%.*s' in %s is ignored%.*s",
                     MG_STR_ARG(shown), table->what, MG_STR_ARG(hint));
    return true;
}

static const mg_field *find_field(const mg_fields *table, const mg_value *key)
{
    for (int64_t i = 0; key->kind == MG_STRING && i < table->count; i++) {
        if (mg_str_is(key->string, table->fields[i].name)) {
            return &table->fields[i];
        }
    }
    return NULL;
}

bool mg_fields_read(const mg_fields *table, const mg_value *map, void *target,
                    const mg_field_context *context)
{
    if (map->kind != MG_MAP) {
        mg_str shown = mg_field_show(&context->diagnostics->arena, map);
        mg_diagnose(context->diagnostics, map, "%s must be a map, found %.*s", table->what,
                    MG_STR_ARG(shown));
        return false;
    }
    bool ok = true;
    for (int64_t i = 0; i < map->count; i++) {
        const mg_entry *entry = &map->entries[i];
        const mg_field *field = find_field(table, &entry->key);
        if (field == NULL) {
            ok = report_unknown(table, &entry->key, context) && ok;
            continue;
        }
        if (entry->value.kind == MG_NULL) {
            continue;
        }
        ok = read_field(context, field, &entry->value, (char *)target + field->offset) && ok;
        if (field->has_offset != 0) {
            *(bool *)((char *)target + field->has_offset) = true;
        }
    }
    for (int64_t i = 0; i < table->count; i++) {
        const mg_field *field = &table->fields[i];
        if (field->required && mg_value_is_null(mg_value_get(map, field->name))) {
            mg_diagnose(context->diagnostics, map, "%s lacks its '%s'", table->what, field->name);
            ok = false;
        }
    }
    return ok;
}
