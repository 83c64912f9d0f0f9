/* data/dataset.h - rows as document values, from JSON, JSON lines, CSV, TSV, text, Arrow and
 * Parquet files, gzip of these, folders that save_to_disk wrote, and data sets in the local Hub
 * cache.
 *
 * Nothing is downloaded and no code of a data set is run.
 * Thread-safety: immutable after loading; share it freely. */
#pragma once

#include "base/error.h"
#include "hub/cache.h"
#include "text/value.h"

MG_BEGIN_C

/* What a task file says (tasks.md 4). */
typedef struct mg_dataset_args {
    mg_str path;                /* "json", "csv", "arrow", a folder, or owner/name */
    mg_str name;                /* dataset_name, may be empty */
    const mg_value *kwargs;     /* dataset_kwargs, may be NULL */
    mg_str split;               /* the split to read */
    const char *working_folder; /* data_files are relative to it; NULL = the process's */
    const mg_hub *hub;
    const char *second_folder;   /* where data_files are looked for next; NULL = nowhere */
    const char *prepared_folder; /* the cache of prepared data sets; NULL = beside the hub's */
} mg_dataset_args;

typedef struct mg_dataset mg_dataset;

/* Reads one split.  MG_ERR_NOT_FOUND, MG_ERR_FORMAT, MG_ERR_UNSUPPORTED naming the feature. */
MG_MUST_CHECK mg_status mg_dataset_open(const mg_dataset_args *args, mg_dataset **dataset_out,
                                        mg_error *err);
void mg_dataset_close(mg_dataset *dataset); /* NULL is fine */
int64_t mg_dataset_count(const mg_dataset *dataset);
const mg_value *mg_dataset_row(const mg_dataset *dataset, int64_t index); /* a map; borrowed */
/* Column names, in the order of the file. */
int64_t mg_dataset_column_count(const mg_dataset *dataset);
mg_str mg_dataset_column(const mg_dataset *dataset, int64_t index);

/* A data set of rows that somebody computed: a list of maps, copied. */
MG_MUST_CHECK mg_status mg_dataset_from_rows(const mg_value *rows, mg_dataset **dataset_out,
                                             mg_error *err);

/* Content hash of all rows (buffer of MG_HASH_TEXT_BYTES). */
void mg_dataset_hash(const mg_dataset *dataset, char *text_out);

MG_END_C
