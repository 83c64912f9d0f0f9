/* data/dataset.c - opens a data set: resolves its files, reads them in order, keeps the rows. */
#include "data/dataset.h"

#include "base/fs.h"
#include "base/hash.h"
#include "data/dataset_internal.h"
#include "text/json.h"

struct mg_dataset {
    mg_table table;
};

static mg_status read_rows(mg_str bytes, mg_data_format format, const mg_source *source,
                           mg_table *table, mg_error *err)
{
    switch (format) {
    case MG_DATA_JSON:
        return mg_json_rows(bytes, source, table, err);
    case MG_DATA_CSV:
    case MG_DATA_TSV:
        return mg_csv_rows(bytes, source, table, err);
    case MG_DATA_TEXT:
        return mg_text_rows(bytes, source, table, err);
    case MG_DATA_ARROW:
        return mg_arrow_rows(bytes, source, table, err);
    case MG_DATA_PARQUET:
        return mg_parquet_rows(bytes, source, table, err);
    default:
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: no reader for files of this kind",
                       source->name);
    }
}

static mg_status read_file(const char *path, mg_data_format format, const mg_value *options,
                           mg_table *table, mg_error *err)
{
    mg_status status = MG_OK;
    mg_mapping mapping = { 0 };
    mg_bytes unpacked = { 0 };
    MG_TRY_OR_DONE(mg_mapping_open(path, &mapping, err));
    mg_str bytes = mg_str_make((const char *)mapping.data, mapping.size);
    if (bytes.size >= 2 && memcmp(bytes.data, "\x1f\x8b", 2) == 0) {
        MG_TRY_OR_DONE(mg_gunzip(bytes, path, MG_DATA_FILE_BYTES_MAX, &unpacked, err));
        bytes = mg_str_make((const char *)unpacked.data, unpacked.size);
    }
    mg_data_format by_name = mg_data_format_of(mg_str_of(path));
    mg_source source = { .name = path, .options = options, .tabs = by_name == MG_DATA_TSV };
    MG_TRY_OR_DONE(
        read_rows(bytes, format == MG_DATA_UNKNOWN ? by_name : format, &source, table, err));

done:
    mg_bytes_release(&unpacked);
    mg_mapping_close(&mapping);
    return status;
}

mg_status mg_dataset_open(const mg_dataset_args *args, mg_dataset **dataset_out, mg_error *err)
{
    *dataset_out = NULL;
    mg_status status = MG_OK;
    mg_arena scratch = { 0 };
    mg_data_files files;
    mg_dataset *dataset = mg_new(mg_dataset);
    MG_TRY_OR_DONE(mg_data_files_resolve(args, &scratch, &files, err));
    for (int64_t i = 0; i < files.count; i++) {
        int64_t columns = dataset->table.column_count;
        MG_TRY_OR_DONE(read_file(files.paths[i], files.format, args->kwargs, &dataset->table, err));
        if (i > 0 && dataset->table.column_count != columns) {
            MG_TRY_OR_DONE(mg_table_square(&dataset->table, 0, err));
        }
    }
    *dataset_out = dataset;
    dataset = NULL;

done:
    mg_dataset_close(dataset);
    mg_arena_release(&scratch);
    return status;
}

mg_status mg_dataset_from_rows(const mg_value *rows, mg_dataset **dataset_out, mg_error *err)
{
    *dataset_out = NULL;
    mg_status status = MG_OK;
    mg_dataset *dataset = mg_new(mg_dataset);
    mg_table *table = &dataset->table;
    if (rows->kind != MG_LIST) {
        status = mg_fail(err, MG_ERR_FORMAT, "%s where a list of rows was expected",
                         mg_kind_name(rows->kind));
        goto done;
    }
    for (int64_t i = 0; i < rows->count; i++) {
        const mg_value *given = &rows->items[i];
        mg_value *row;
        if (given->kind != MG_MAP) {
            status = mg_fail(err, MG_ERR_FORMAT, "row %lld is %s, expected a mapping", (long long)i,
                             mg_kind_name(given->kind));
            goto done;
        }
        for (int64_t c = 0; c < given->count; c++) {
            int64_t column;
            if (given->entries[c].key.kind != MG_STRING) {
                status =
                    mg_fail(err, MG_ERR_FORMAT, "row %lld has a key that is no text", (long long)i);
                goto done;
            }
            MG_TRY_OR_DONE(mg_table_column(table, given->entries[c].key.string, &column, err));
        }
        table->bytes += (size_t)given->count; /* a byte for each cell, as it were */
        MG_TRY_OR_DONE(mg_table_add_row(table, &row, err));
        *row = mg_value_copy(&table->arena, given);
    }
    MG_TRY_OR_DONE(mg_table_square(table, 0, err));
    *dataset_out = dataset;
    dataset = NULL;

done:
    mg_dataset_close(dataset);
    return status;
}

void mg_dataset_close(mg_dataset *dataset)
{
    if (dataset != NULL) {
        mg_table_release(&dataset->table);
        mg_free(dataset);
    }
}

int64_t mg_dataset_count(const mg_dataset *dataset)
{
    return dataset->table.count;
}

const mg_value *mg_dataset_row(const mg_dataset *dataset, int64_t index)
{
    MG_ASSERT(index >= 0 && index < dataset->table.count);
    return &dataset->table.rows[index];
}

int64_t mg_dataset_column_count(const mg_dataset *dataset)
{
    return dataset->table.column_count;
}

mg_str mg_dataset_column(const mg_dataset *dataset, int64_t index)
{
    MG_ASSERT(index >= 0 && index < dataset->table.column_count);
    return dataset->table.columns[index];
}

/* The hash covers names and values in order, as JSON. */
void mg_dataset_hash(const mg_dataset *dataset, char *text_out)
{
    mg_hasher *hasher = mg_hasher_create();
    mg_buf text = { 0 };
    for (int64_t i = 0; i < dataset->table.count; i++) {
        mg_buf_clear(&text);
        mg_json_write(&text, &dataset->table.rows[i], NULL);
        mg_buf_add_char(&text, '\n');
        mg_hasher_add(hasher, text.data, text.size);
    }
    mg_hasher_text(hasher, text_out);
    mg_hasher_destroy(hasher);
    mg_buf_release(&text);
}
