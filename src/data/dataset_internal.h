/* data/dataset_internal.h - the table that the readers of data/ fill, and the readers.
 *
 * A reader gets the bytes of one file and appends its rows; the files of a split follow each other.
 * Every reader treats the bytes as hostile.  Thread-safety: one thread at a time. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "text/value.h"

MG_BEGIN_C

#define MG_DATA_FILE_BYTES_MAX ((size_t)16 << 30)
#define MG_DATA_ROWS_MAX ((int64_t)1 << 28)
#define MG_DATA_COLUMNS_MAX 4096
#define MG_DATA_DEPTH_MAX 64

/* Rows under construction.  Every row is a map in arena. */
typedef struct mg_table {
    mg_arena arena;
    mg_value *rows;
    int64_t count;
    int64_t cap;
    mg_str *columns; /* in arena order of first appearance */
    int64_t column_count;
    int64_t column_cap;
    mg_map column_map; /* name -> index */
    size_t bytes;      /* of the files that were read into it; each reader adds its own */
    int64_t cells;     /* of all rows: what bytes may ask for is limited */
} mg_table;

void mg_table_release(mg_table *table); /* NULL or zeroed is fine */
/* The index of the column called name, added at the end when new.  The name is copied. */
MG_MUST_CHECK mg_status mg_table_column(mg_table *table, mg_str name, int64_t *index_out,
                                        mg_error *err);
/* Room for one more row; the caller fills it with a map.  MG_ERR_LIMIT when rows and columns are
 * more than files of this size can mean. */
MG_MUST_CHECK mg_status mg_table_add_row(mg_table *table, mg_value **row_out, mg_error *err);
/* Gives every row from first on all columns of the table in their order, null where it has none.
 * MG_ERR_LIMIT as mg_table_add_row. */
MG_MUST_CHECK mg_status mg_table_square(mg_table *table, int64_t first, mg_error *err);
/* Gives the values of each column one shape, as Arrow reads JSON: all keys that objects have at a
 * place, floats where integers and floats occur.  The rows are square. */
void mg_table_conform(mg_table *table, int64_t first);

/* What stands in front of messages, and the loader's options (dataset_kwargs, may be NULL). */
typedef struct mg_source {
    const char *name;
    const mg_value *options;
    bool tabs; /* .tsv */
} mg_source;

MG_MUST_CHECK mg_status mg_json_rows(mg_str text, const mg_source *source, mg_table *table,
                                     mg_error *err);
MG_MUST_CHECK mg_status mg_csv_rows(mg_str text, const mg_source *source, mg_table *table,
                                    mg_error *err);
MG_MUST_CHECK mg_status mg_text_rows(mg_str text, const mg_source *source, mg_table *table,
                                     mg_error *err);
MG_MUST_CHECK mg_status mg_arrow_rows(mg_str bytes, const mg_source *source, mg_table *table,
                                      mg_error *err);
MG_MUST_CHECK mg_status mg_parquet_rows(mg_str bytes, const mg_source *source, mg_table *table,
                                        mg_error *err);

/* gzip members one after the other; MG_ERR_LIMIT above bytes_max. */
MG_MUST_CHECK mg_status mg_gunzip(mg_str bytes, const char *name, size_t bytes_max, mg_bytes *out,
                                  mg_error *err);

typedef enum mg_data_format {
    MG_DATA_UNKNOWN,
    MG_DATA_JSON,
    MG_DATA_CSV,
    MG_DATA_TSV,
    MG_DATA_TEXT,
    MG_DATA_ARROW,
    MG_DATA_PARQUET
} mg_data_format;

/* The files of one split, in order. */
typedef struct mg_data_files {
    const char **paths; /* in the arena given to the resolver */
    int64_t count;
    mg_data_format format; /* UNKNOWN: by each file's name */
} mg_data_files;

/* By the ending of name, ".gz" looked through. */
mg_data_format mg_data_format_of(mg_str name);
/* Finds the files that args ask for (tasks.md 4 and 5). */
MG_MUST_CHECK mg_status mg_data_files_resolve(const mg_dataset_args *args, mg_arena *arena,
                                              mg_data_files *files_out, mg_error *err);

MG_END_C
