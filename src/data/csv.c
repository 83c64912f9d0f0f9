/* data/csv.c - CSV and TSV as pandas.read_csv reads them with its defaults (tasks.md 6).
 *
 * RFC 4180 quoting; the first row names the columns unless names are given.  All cells are kept as
 * text until the file is read, then each column is typed as a whole: integers, else numbers, else
 * booleans, else text; the usual spellings of "missing" are null, and an integer column that has
 * one becomes a float column.  A row with too few cells is filled with null, one with too many is
 * an error that names its line. */
#include "data/dataset_internal.h"

#include "text/utf8.h"

#include <inttypes.h>

static const char *const null_words[] = {
    "",     "#N/A", "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A",  "NA",       "NULL", "NaN",     "None",     "n/a",  "nan",  "null",
};

typedef struct csv_options {
    char separator;
    char quote; /* 0 = quoting is off */
    bool has_header;
    const mg_value *names; /* list of column names, or NULL */
} csv_options;

typedef struct csv_reader {
    mg_str text;
    size_t at;
    int64_t line;
    csv_options options;
    mg_buf cell;
    mg_str *cells; /* of the current row, in the table's arena */
    int64_t count;
    int64_t cap;
} csv_reader;

static mg_status read_options(const mg_source *source, csv_options *options, mg_error *err)
{
    static const char *const known[] = {
        "sep",       "delimiter",        "header",   "names", "column_names", "quoting",
        "quotechar", "data_files",       "data_dir", "name",  "split",        "encoding",
        "revision",  "trust_remote_code"
    };
    *options =
        (csv_options){ .separator = source->tabs ? '\t' : ',', .quote = '"', .has_header = true };
    const mg_value *all = source->options;
    for (int64_t i = 0; all != NULL && i < all->count; i++) {
        mg_str key = all->entries[i].key.string;
        const mg_value *value = &all->entries[i].value;
        bool found = false;
        for (int64_t k = 0; k < MG_ARRAY_COUNT(known); k++) {
            found = found || mg_str_is(key, known[k]);
        }
        if (!found) {
            return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: the csv option '%.*s' is not supported",
                           source->name, MG_STR_ARG(key));
        }
        if (mg_str_is(key, "sep") || mg_str_is(key, "delimiter")) {
            if (value->kind != MG_STRING || value->string.size != 1) {
                return mg_fail(err, MG_ERR_UNSUPPORTED,
                               "%s: the csv separator must be one character", source->name);
            }
            options->separator = value->string.data[0];
        } else if (mg_str_is(key, "header")) {
            options->has_header = !mg_value_is_null(value);
        } else if (mg_str_is(key, "names") || mg_str_is(key, "column_names")) {
            options->names = value->kind == MG_LIST ? value : NULL;
        } else if (mg_str_is(key, "quoting")) {
            options->quote = value->kind == MG_INT && value->integer == 3 ? 0 : options->quote;
        } else if (mg_str_is(key, "quotechar") && value->kind == MG_STRING &&
                   value->string.size == 1) {
            options->quote = options->quote != 0 ? value->string.data[0] : 0;
        }
    }
    if (options->names != NULL && mg_value_get(all, "header") == NULL) {
        options->has_header = false; /* as pandas: names without header */
    }
    return MG_OK;
}

static void push_cell(csv_reader *reader, mg_arena *arena)
{
    if (reader->count == reader->cap) {
        reader->cap = reader->cap > 0 ? reader->cap * 2 : 16;
        reader->cells = mg_memory_resize(reader->cells, reader->cap, sizeof(mg_str));
    }
    reader->cells[reader->count++] = mg_arena_copy(arena, mg_buf_view(&reader->cell));
    mg_buf_clear(&reader->cell);
}

/* Reads a quoted part up to its closing quote; a doubled quote stands for one. */
static mg_status read_quoted(csv_reader *reader, const char *name, mg_error *err)
{
    int64_t start = reader->line;
    reader->at++;
    while (reader->at < reader->text.size) {
        char c = reader->text.data[reader->at++];
        if (c == reader->options.quote) {
            if (reader->at < reader->text.size &&
                reader->text.data[reader->at] == reader->options.quote) {
                reader->at++;
            } else {
                return MG_OK;
            }
        }
        reader->line += c == '\n';
        mg_buf_add_char(&reader->cell, c);
    }
    return mg_fail(err, MG_ERR_FORMAT, "%s:%" PRId64 ": a quoted cell is not closed", name, start);
}

/* Reads the next row that is not blank; *more_out is false at the end of the text. */
static mg_status read_row(csv_reader *reader, mg_arena *arena, const char *name, bool *more_out,
                          mg_error *err)
{
    reader->count = 0;
    mg_buf_clear(&reader->cell);
    bool started = false; /* something stands in this row */
    bool fresh = true;    /* at the start of a cell */
    while (reader->at < reader->text.size) {
        char c = reader->text.data[reader->at];
        if (c == '\n' || c == '\r') {
            reader->at++;
            if (c == '\r' && reader->at < reader->text.size &&
                reader->text.data[reader->at] == '\n') {
                reader->at++;
            }
            reader->line++;
            if (started) {
                break;
            }
            continue; /* a blank line */
        }
        started = true;
        if (c == reader->options.quote && fresh && reader->options.quote != 0) {
            MG_TRY(read_quoted(reader, name, err));
            fresh = false;
        } else if (c == reader->options.separator) {
            push_cell(reader, arena);
            reader->at++;
            fresh = true;
        } else {
            mg_buf_add_char(&reader->cell, c);
            reader->at++;
            fresh = false;
        }
    }
    *more_out = started;
    if (started) {
        push_cell(reader, arena);
    }
    return MG_OK;
}

static bool is_null_word(mg_str cell)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(null_words); i++) {
        if (mg_str_is(cell, null_words[i])) {
            return true;
        }
    }
    return false;
}

static bool cell_to_int(mg_str cell, int64_t *value_out)
{
    return mg_str_to_int(mg_str_trim(cell), value_out);
}

static bool cell_to_bool(mg_str cell, bool *value_out)
{
    *value_out = mg_str_is(cell, "True") || mg_str_is(cell, "TRUE") || mg_str_is(cell, "true");
    return *value_out || mg_str_is(cell, "False") || mg_str_is(cell, "FALSE") ||
           mg_str_is(cell, "false");
}

/* Types column of the rows from first on; all its cells are strings. */
static void type_column(mg_table *table, int64_t first, int64_t column)
{
    bool ints = true;
    bool numbers = true;
    bool bools = true;
    bool nulls = false;
    for (int64_t i = first; i < table->count; i++) {
        const mg_value *value = &table->rows[i].entries[column].value;
        int64_t integer;
        double number;
        bool truth;
        if (value->kind != MG_STRING || is_null_word(value->string)) {
            nulls = true;
            continue;
        }
        ints = ints && cell_to_int(value->string, &integer);
        numbers = numbers && mg_str_to_double(mg_str_trim(value->string), &number);
        bools = bools && cell_to_bool(value->string, &truth);
    }
    for (int64_t i = first; i < table->count; i++) {
        mg_value *value = &table->rows[i].entries[column].value;
        int64_t integer = 0;
        double number = 0;
        bool truth = false;
        if (value->kind != MG_STRING || is_null_word(value->string)) {
            *value = mg_value_null;
        } else if (ints && !nulls && cell_to_int(value->string, &integer)) {
            *value = mg_value_of_int(integer);
        } else if (numbers && mg_str_to_double(mg_str_trim(value->string), &number)) {
            *value = mg_value_of_double(number);
        } else if (bools && cell_to_bool(value->string, &truth)) {
            *value = mg_value_of_bool(truth);
        }
    }
}

/* Gives cells that repeat an earlier one the first free number: "a", "a.1", "a.2". */
static void number_repeated(csv_reader *reader, mg_arena *arena)
{
    mg_map taken = { 0 };
    mg_map next = { 0 }; /* name -> the number to try first: all below are taken */
    for (int64_t i = 0; i < reader->count; i++) {
        mg_str name = reader->cells[i];
        int64_t n = mg_map_get(&next, name, 1);
        while (mg_map_has(&taken, reader->cells[i])) {
            reader->cells[i] = mg_arena_printf(arena, "%.*s.%" PRId64, MG_STR_ARG(name), n++);
        }
        mg_map_set(&next, name, n);
        mg_map_set(&taken, reader->cells[i], i);
    }
    mg_map_release(&next);
    mg_map_release(&taken);
}

/* Column names: given, from the header (a repeated one gets ".1" as in pandas), or numbers. */
static mg_status name_columns(csv_reader *reader, const mg_source *source, mg_table *table,
                              bool *pending_out, mg_error *err)
{
    bool more = true;
    int64_t index;
    *pending_out = false;
    if (reader->options.has_header || reader->options.names == NULL) {
        MG_TRY(read_row(reader, &table->arena, source->name, &more, err));
    }
    const mg_value *names = reader->options.names;
    for (int64_t i = 0; names != NULL && i < names->count; i++) {
        mg_str name =
            names->items[i].kind == MG_STRING ? names->items[i].string : names->items[i].source;
        MG_TRY(mg_table_column(table, name, &index, err));
    }
    if (names != NULL || !more) {
        return MG_OK;
    }
    *pending_out = !reader->options.has_header; /* that row was data */
    for (int64_t i = 0; *pending_out && i < reader->count; i++) {
        reader->cells[i] = mg_arena_printf(&table->arena, "%" PRId64, i);
    }
    number_repeated(reader, &table->arena);
    for (int64_t i = 0; i < reader->count; i++) {
        MG_TRY(mg_table_column(table, reader->cells[i], &index, err));
    }
    return MG_OK;
}

static mg_status add_row(csv_reader *reader, const mg_source *source, const int64_t *columns,
                         int64_t column_count, mg_table *table, mg_error *err)
{
    if (reader->count > column_count) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "%s:%" PRId64 ": %" PRId64 " cells in a row, expected %" PRId64,
                       source->name, reader->line - 1, reader->count, column_count);
    }
    mg_value *row;
    MG_TRY(mg_table_add_row(table, &row, err));
    *row = mg_value_of_map(&table->arena, table->column_count);
    for (int64_t i = 0; i < table->column_count; i++) {
        row->entries[i].key.kind = MG_STRING;
        row->entries[i].key.string = table->columns[i];
        row->entries[i].value = mg_value_null;
    }
    for (int64_t i = 0; i < reader->count; i++) {
        mg_value *value = &row->entries[columns[i]].value;
        value->kind = MG_STRING;
        value->string = reader->cells[i];
    }
    return MG_OK;
}

/* The table's columns that the cells of this file go to, in order. */
static mg_status map_columns(const csv_reader *reader, const mg_table *table, int64_t **columns_out,
                             int64_t *count_out)
{
    const mg_value *names = reader->options.names;
    *count_out = names != NULL ? names->count : reader->count;
    *columns_out = mg_new_array(int64_t, *count_out > 0 ? *count_out : 1);
    for (int64_t i = 0; i < *count_out; i++) {
        mg_str name = names == NULL                       ? reader->cells[i]
                      : names->items[i].kind == MG_STRING ? names->items[i].string
                                                          : names->items[i].source;
        (*columns_out)[i] = mg_map_get(&table->column_map, name, i);
    }
    return MG_OK;
}

mg_status mg_csv_rows(mg_str text, const mg_source *source, mg_table *table, mg_error *err)
{
    mg_status status = MG_OK;
    csv_reader reader = { .text = text, .line = 1 };
    int64_t *columns = NULL;
    int64_t column_count = 0;
    int64_t first = table->count;
    bool pending = false;
    bool more = true;
    table->bytes += text.size;
    if (mg_str_starts(text, "\xef\xbb\xbf")) {
        reader.at = 3;
    }
    if (!mg_utf8_valid(text)) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: not valid UTF-8", source->name);
    }
    MG_TRY_OR_DONE(read_options(source, &reader.options, err));
    MG_TRY_OR_DONE(name_columns(&reader, source, table, &pending, err));
    MG_TRY_OR_DONE(map_columns(&reader, table, &columns, &column_count));
    if (pending) {
        /* Columns are numbered: the cells of the first row keep their places. */
        for (int64_t i = 0; i < column_count; i++) {
            columns[i] = i;
        }
        reader.at = mg_str_starts(text, "\xef\xbb\xbf") ? 3 : 0;
        reader.line = 1;
    }
    while (true) {
        MG_TRY_OR_DONE(read_row(&reader, &table->arena, source->name, &more, err));
        if (!more) {
            break;
        }
        MG_TRY_OR_DONE(add_row(&reader, source, columns, column_count, table, err));
    }
    for (int64_t column = 0; column < table->column_count; column++) {
        type_column(table, first, column);
    }

done:
    mg_buf_release(&reader.cell);
    mg_free(reader.cells);
    mg_free(columns);
    return status;
}
