/* data/table.c - rows under construction.
 *
 * Readers of row formats (JSON) append maps as they stand in the file; mg_table_square then gives
 * all rows the same columns.  Readers of column formats know their columns first and fill whole
 * rows. */
#include "data/dataset_internal.h"

#include <inttypes.h>

/* Cells that files may yield for each of their bytes, and for nothing: a row costs as many as the
 * table has columns, also where it leaves most of them empty. */
#define CELLS_PER_BYTE 8
#define CELLS_FREE ((int64_t)1 << 20)

void mg_table_release(mg_table *table)
{
    if (table == NULL) {
        return;
    }
    mg_arena_release(&table->arena);
    mg_map_release(&table->column_map);
    mg_free(table->rows);
    mg_free(table->columns);
    *table = (mg_table){ 0 };
}

mg_status mg_table_column(mg_table *table, mg_str name, int64_t *index_out, mg_error *err)
{
    int64_t index = mg_map_get(&table->column_map, name, -1);
    if (index >= 0) {
        *index_out = index;
        return MG_OK;
    }
    if (table->column_count == MG_DATA_COLUMNS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "more than %d columns", MG_DATA_COLUMNS_MAX);
    }
    if (table->column_count == table->column_cap) {
        table->column_cap = table->column_cap > 0 ? table->column_cap * 2 : 16;
        table->columns = mg_memory_resize(table->columns, table->column_cap, sizeof(mg_str));
    }
    mg_str copy = mg_arena_copy(&table->arena, name);
    *index_out = table->column_count++;
    table->columns[*index_out] = copy;
    mg_map_set(&table->column_map, copy, *index_out);
    return MG_OK;
}

/* Counts the cells of one more row, or of one row that gets all columns. */
static mg_status add_cells(mg_table *table, mg_error *err)
{
    table->cells += table->column_count;
    if (table->cells > CELLS_FREE + (int64_t)table->bytes * CELLS_PER_BYTE) {
        return mg_fail(err, MG_ERR_LIMIT,
                       "%" PRId64 " rows of %" PRId64
                       " columns each are more than a file of this size can mean; as JSON lines "
                       "the same rows could be read",
                       table->count, table->column_count);
    }
    return MG_OK;
}

mg_status mg_table_add_row(mg_table *table, mg_value **row_out, mg_error *err)
{
    if (table->count == MG_DATA_ROWS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "more than %" PRId64 " rows", MG_DATA_ROWS_MAX);
    }
    MG_TRY(add_cells(table, err));
    if (table->count == table->cap) {
        table->cap = table->cap > 0 ? table->cap * 2 : 256;
        table->rows = mg_memory_resize(table->rows, table->cap, sizeof(mg_value));
    }
    *row_out = &table->rows[table->count++];
    **row_out = mg_value_null;
    return MG_OK;
}

/* Whether the row has exactly the table's columns in the table's order. */
static bool row_is_square(const mg_table *table, const mg_value *row)
{
    if (row->count != table->column_count) {
        return false;
    }
    for (int64_t i = 0; i < row->count; i++) {
        if (!mg_str_equal(row->entries[i].key.string, table->columns[i])) {
            return false;
        }
    }
    return true;
}

static void square_row(mg_table *table, mg_value *row)
{
    mg_value whole = mg_value_of_map(&table->arena, table->column_count);
    for (int64_t i = 0; i < table->column_count; i++) {
        whole.entries[i].key = mg_value_null;
        whole.entries[i].key.kind = MG_STRING;
        whole.entries[i].key.string = table->columns[i];
        whole.entries[i].value = mg_value_null;
    }
    for (int64_t i = 0; i < row->count; i++) {
        int64_t column = mg_map_get(&table->column_map, row->entries[i].key.string, -1);
        if (column >= 0) {
            whole.entries[column].value = row->entries[i].value;
        }
    }
    whole.line = row->line;
    *row = whole;
}

mg_status mg_table_square(mg_table *table, int64_t first, mg_error *err)
{
    for (int64_t i = first; i < table->count; i++) {
        if (!row_is_square(table, &table->rows[i])) {
            MG_TRY(add_cells(table, err));
            square_row(table, &table->rows[i]);
        }
    }
    return MG_OK;
}
