/* data/parquet_internal.h - Parquet: schema nodes and decoded leaf columns.
 *
 * thrift.c reads the metadata, parquet_page.c turns pages into levels and values, parquet.c walks
 * the schema and assembles rows.  Nothing read from the file is trusted. Thread-safety: one thread
 * at a time. */
#pragma once

#include "data/dataset_internal.h"

MG_BEGIN_C

/* Reads one compact-protocol struct at *at into a map from field number (MG_INT keys) to value;
 * lists are lists, binaries strings that borrow from bytes.  false for anything damaged. */
bool mg_thrift_read(mg_str bytes, size_t *at, mg_arena *arena, mg_value *value_out);
/* Field number of a struct; NULL when absent. */
const mg_value *mg_thrift_get(const mg_value *value, int64_t field);
int64_t mg_thrift_int(const mg_value *value, int64_t field, int64_t fallback);

typedef enum mg_parquet_type {
    MG_PARQUET_BOOLEAN,
    MG_PARQUET_INT32,
    MG_PARQUET_INT64,
    MG_PARQUET_INT96,
    MG_PARQUET_FLOAT,
    MG_PARQUET_DOUBLE,
    MG_PARQUET_BYTE_ARRAY,
    MG_PARQUET_FIXED
} mg_parquet_type;

/* What a physical value means. */
typedef enum mg_parquet_meaning {
    MG_MEANS_ITSELF,
    MG_MEANS_TEXT,
    MG_MEANS_UNSIGNED,
    MG_MEANS_DATE,
    MG_MEANS_TIME,
    MG_MEANS_TIMESTAMP,
    MG_MEANS_DECIMAL, /* shown as text, exactly */
    MG_MEANS_HALF     /* a float of two bytes */
} mg_parquet_meaning;

/* One leaf column of the row group at hand: levels of all entries, values of those present. */
typedef struct mg_parquet_leaf {
    mg_str name;
    int64_t type; /* mg_parquet_type */
    int64_t type_bytes;
    mg_parquet_meaning meaning;
    int64_t unit;  /* of times: 1 ms, 2 us, 3 ns */
    int64_t scale; /* of decimals: digits behind the point */
    bool is_utc;   /* of timestamps */
    int max_def, max_rep;
    uint8_t *rep, *def;
    int64_t count, cap;
    mg_value *values; /* texts borrow from the page buffers */
    int64_t value_count, value_cap;
    mg_value *dictionary;
    int64_t dictionary_count;
    int64_t at, value_at; /* while rows are assembled */
} mg_parquet_leaf;

/* Page buffers that live until the row group is assembled, and the work left to do. */
typedef struct mg_parquet_work {
    const char *name;
    void **buffers;
    int64_t buffer_count, buffer_cap;
    int64_t budget; /* values that may still be read */
} mg_parquet_work;

/* Reads all pages of a column chunk: metadata is its ColumnMetaData. */
MG_MUST_CHECK mg_status mg_parquet_read_chunk(mg_parquet_work *work, mg_str file,
                                              const mg_value *metadata, mg_parquet_leaf *leaf,
                                              mg_error *err);
/* The document value of a decoded one: copies texts into arena. */
MG_MUST_CHECK mg_status mg_parquet_value(mg_parquet_work *work, const mg_parquet_leaf *leaf,
                                         const mg_value *value, mg_arena *arena,
                                         mg_value *value_out, mg_error *err);

/* parquet_delta.c.  Each takes what it has read off *bytes; false for anything damaged. */
bool mg_parquet_delta_ints(mg_str *bytes, int64_t *values, int64_t count);
bool mg_parquet_delta_lengths(mg_str *bytes, mg_str *texts, int64_t count); /* borrow from bytes */
/* Value i is the first prefixes[i] bytes of value i - 1, then suffixes[i]; *total_out is the size
 * of all values together. */
bool mg_parquet_delta_prefixes(mg_str *bytes, int64_t *prefixes, mg_str *suffixes, int64_t count,
                               size_t *total_out);

MG_END_C
