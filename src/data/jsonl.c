/* data/jsonl.c - JSON lines, JSON arrays of rows, column-wise JSON objects, and plain text lines.
 *
 * Which of the JSON shapes a file has is told by its first character and by whether its first line
 * is a document of its own: an array is a list of rows; objects one after the other are lines; a
 * single object is column-wise when all its members are lists of one length, else a single row. */
#include "data/dataset_internal.h"

#include "text/json.h"
#include "text/utf8.h"

#include <inttypes.h>

static mg_status add_object(mg_table *table, const mg_value *object, const char *name,
                            mg_error *err)
{
    for (int64_t i = 0; i < object->count; i++) {
        int64_t column;
        mg_status status = mg_table_column(table, object->entries[i].key.string, &column, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", name);
            return status;
        }
    }
    mg_value *row;
    MG_TRY(mg_table_add_row(table, &row, err));
    *row = *object;
    return MG_OK;
}

/* A list of rows: objects, or bare values that become the column `text`. */
static mg_status add_list(mg_table *table, const mg_value *list, const char *name, mg_error *err)
{
    for (int64_t i = 0; i < list->count; i++) {
        mg_value object = list->items[i];
        if (object.kind != MG_MAP) {
            object = mg_value_of_map(&table->arena, 1);
            object.entries[0].key = mg_value_of_str(&table->arena, mg_str_of("text"));
            object.entries[0].value = list->items[i];
        }
        MG_TRY(add_object(table, &object, name, err));
    }
    return MG_OK;
}

static bool is_column_wise(const mg_value *object)
{
    for (int64_t i = 0; i < object->count; i++) {
        const mg_value *column = &object->entries[i].value;
        if (column->kind != MG_LIST || column->count != object->entries[0].value.count) {
            return false;
        }
    }
    return object->count > 0;
}

static mg_status add_columns(mg_table *table, const mg_value *object, const char *name,
                             mg_error *err)
{
    int64_t rows = object->entries[0].value.count;
    for (int64_t r = 0; r < rows; r++) {
        mg_value row = mg_value_of_map(&table->arena, object->count);
        for (int64_t c = 0; c < object->count; c++) {
            row.entries[c].key = object->entries[c].key;
            row.entries[c].value = object->entries[c].value.items[r];
        }
        MG_TRY(add_object(table, &row, name, err));
    }
    return MG_OK;
}

static mg_status add_document(mg_table *table, const mg_value *document, const mg_source *source,
                              mg_error *err)
{
    const mg_value *field = mg_value_get(source->options, "field");
    if (field != NULL && field->kind == MG_STRING) {
        const mg_value *inner = mg_value_get_str(document, field->string);
        if (inner == NULL) {
            return mg_fail(err, MG_ERR_FORMAT, "%s: no member '%.*s' in the JSON document",
                           source->name, MG_STR_ARG(field->string));
        }
        document = inner;
    }
    if (document->kind == MG_LIST) {
        return add_list(table, document, source->name, err);
    }
    if (document->kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: the document is %s, expected rows", source->name,
                       mg_kind_name(document->kind));
    }
    if (is_column_wise(document)) {
        return add_columns(table, document, source->name, err);
    }
    return add_object(table, document, source->name, err);
}

static mg_status add_lines(mg_str text, const mg_source *source, mg_table *table, mg_error *err)
{
    mg_str rest = text;
    mg_str line;
    int64_t number = 0;
    while (mg_str_split(&rest, '\n', &line)) {
        number++;
        line = mg_str_trim(line);
        if (line.size == 0) {
            continue;
        }
        mg_value value;
        MG_TRY(mg_json_parse_line(line, source->name, number, &table->arena, &value, err));
        if (value.kind != MG_MAP) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "%s:%" PRId64 ":1: is %s, expected one object a line", source->name,
                           number, mg_kind_name(value.kind));
        }
        value.line = (int32_t)MG_MIN(number, INT32_MAX);
        MG_TRY(add_object(table, &value, source->name, err));
    }
    return MG_OK;
}

/* Whether the first line that is not blank is a whole object. */
static bool looks_like_lines(mg_str text, const mg_source *source)
{
    if (mg_value_get(source->options, "field") != NULL) {
        return false;
    }
    mg_str rest = text;
    mg_str line;
    while (mg_str_split(&rest, '\n', &line)) {
        line = mg_str_trim(line);
        if (line.size > 0) {
            mg_arena arena = { 0 };
            mg_value value;
            bool lines = line.data[0] == '{' &&
                         mg_json_parse(line, source->name, &arena, &value, NULL) == MG_OK;
            mg_arena_release(&arena);
            return lines;
        }
    }
    return false;
}

static mg_str without_bom(mg_str text)
{
    return mg_str_starts(text, "\xef\xbb\xbf") ? mg_str_slice(text, 3, text.size) : text;
}

/* The first character that is not white space, or 0. */
static char first_character(mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(" \t\r\n", text.data[i]) == NULL || text.data[i] == '\0') {
            return text.data[i];
        }
    }
    return 0;
}

mg_status mg_json_rows(mg_str text, const mg_source *source, mg_table *table, mg_error *err)
{
    text = without_bom(text);
    int64_t first = table->count;
    table->bytes += text.size;
    mg_value document;
    char start = first_character(text);
    if (start == 0) {
        return MG_OK;
    }
    if (start == '{' && looks_like_lines(text, source)) {
        MG_TRY(add_lines(text, source, table, err));
    } else {
        mg_status status = mg_json_parse(text, source->name, &table->arena, &document, err);
        if (status != MG_OK && start == '{' && mg_value_get(source->options, "field") == NULL) {
            /* Perhaps lines whose first one is damaged: its message is the useful one. */
            return add_lines(text, source, table, err);
        }
        MG_TRY(status);
        MG_TRY(add_document(table, &document, source, err));
    }
    MG_TRY(mg_table_square(table, first, err));
    mg_table_conform(table, first);
    return MG_OK;
}

mg_status mg_text_rows(mg_str text, const mg_source *source, mg_table *table, mg_error *err)
{
    int64_t column;
    MG_TRY(mg_table_column(table, mg_str_of("text"), &column, err));
    mg_value key = mg_value_of_str(&table->arena, mg_str_of("text"));
    mg_str rest = without_bom(text);
    mg_str line;
    table->bytes += text.size;
    if (!mg_utf8_valid(rest)) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: not valid UTF-8", source->name);
    }
    while (rest.size > 0 && mg_str_split(&rest, '\n', &line)) {
        if (mg_str_ends(line, "\r")) {
            line.size--;
        }
        mg_value *row;
        MG_TRY(mg_table_add_row(table, &row, err));
        *row = mg_value_of_map(&table->arena, 1);
        row->entries[0].key = key;
        row->entries[0].value = mg_value_of_str(&table->arena, line);
    }
    return MG_OK;
}
