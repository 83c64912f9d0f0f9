/* data/arrow_internal.h - Arrow IPC: schema and decoded columns, between arrow.c and its parts.
 *
 * flatbuffer.c walks the metadata, arrow_column.c turns buffers into values, arrow.c reads the
 * messages.  Nothing read from the file is trusted: every offset is checked before it is followed.
 */
#pragma once

#include "data/dataset_internal.h"

MG_BEGIN_C

/* A place in a flatbuffer; table is the offset of the table within bytes. */
typedef struct mg_flat {
    mg_str bytes;
    uint32_t table;
} mg_flat;

/* All return false for anything outside bytes.  An absent field gives the fallback. */
bool mg_flat_root(mg_str bytes, mg_flat *root_out);
bool mg_flat_int(const mg_flat *at, int slot, size_t bytes, int64_t fallback, int64_t *value_out);
bool mg_flat_string(const mg_flat *at, int slot, mg_str *text_out); /* absent: empty */
/* *present_out is false when the field is absent. */
bool mg_flat_table(const mg_flat *at, int slot, bool *present_out, mg_flat *table_out);
/* The number of elements and the offset of the first; absent: none. */
bool mg_flat_vector(const mg_flat *at, int slot, size_t element_bytes, int64_t *count_out,
                    size_t *offset_out);
bool mg_flat_vector_table(const mg_flat *at, size_t vector_offset, int64_t index,
                          mg_flat *table_out);

typedef enum mg_arrow_type {
    MG_ARROW_NULL = 1,
    MG_ARROW_INT = 2,
    MG_ARROW_FLOAT = 3,
    MG_ARROW_BINARY = 4,
    MG_ARROW_UTF8 = 5,
    MG_ARROW_BOOL = 6,
    MG_ARROW_DECIMAL = 7,
    MG_ARROW_DATE = 8,
    MG_ARROW_TIME = 9,
    MG_ARROW_TIMESTAMP = 10,
    MG_ARROW_INTERVAL = 11,
    MG_ARROW_LIST = 12,
    MG_ARROW_STRUCT = 13,
    MG_ARROW_UNION = 14,
    MG_ARROW_FIXED_BINARY = 15,
    MG_ARROW_FIXED_LIST = 16,
    MG_ARROW_MAP = 17,
    MG_ARROW_DURATION = 18,
    MG_ARROW_LARGE_BINARY = 19,
    MG_ARROW_LARGE_UTF8 = 20,
    MG_ARROW_LARGE_LIST = 21,
    MG_ARROW_RUN_END = 22,
    MG_ARROW_BINARY_VIEW = 23,
    MG_ARROW_UTF8_VIEW = 24,
    MG_ARROW_TYPE_COUNT = 27
} mg_arrow_type;

typedef struct mg_arrow_field {
    mg_str name;
    int64_t type;  /* mg_arrow_type */
    int64_t width; /* bytes of one value; of one index when dictionary-encoded: index_width */
    bool is_signed;
    int64_t unit;      /* of times: 0 s, 1 ms, 2 us, 3 ns; of dates: 0 days, 1 ms */
    int64_t scale;     /* of decimals: digits behind the point */
    bool is_utc;       /* of timestamps */
    int64_t list_size; /* of a fixed-size list */
    bool is_dictionary;
    int64_t dictionary_id;
    int64_t index_width;
    bool index_signed;
    struct mg_arrow_field *children;
    int64_t child_count;
} mg_arrow_field;

/* One column of one batch, checked: every index below length may be read. */
typedef struct mg_arrow_column {
    const mg_arrow_field *field;
    int64_t length;
    const unsigned char *validity; /* NULL = all present */
    const unsigned char *values;   /* values, offsets, views or indexes */
    mg_str data;                   /* bytes of strings */
    const mg_str *blocks;          /* data buffers of views */
    int64_t block_count;
    struct mg_arrow_column *children;
    int64_t child_count;
    const struct mg_arrow_dictionary *dictionary;
} mg_arrow_column;

typedef struct mg_arrow_dictionary {
    int64_t id;
    mg_arrow_column *parts; /* the first batch and its deltas */
    int64_t *firsts;        /* index of the first value of each part */
    int64_t part_count;
    int64_t part_cap;
    int64_t length; /* of all parts together */
} mg_arrow_dictionary;

/* Reads as an int of width bytes; unaligned. */
int64_t mg_arrow_load(const unsigned char *bytes, int64_t width, bool is_signed);

/* Work that a file may ask for is limited by its size: each value costs budget. */
typedef struct mg_arrow_work {
    const char *name;
    mg_arena *arena;
    int64_t budget;
    int depth; /* of nested values being read */
} mg_arrow_work;

/* The value of row index of a column. */
MG_MUST_CHECK mg_status mg_arrow_value(mg_arrow_work *work, const mg_arrow_column *column,
                                       int64_t index, mg_value *value_out, mg_error *err);
/* Text of a date, a time or a timestamp as Python prints it. */
mg_value mg_arrow_time_text(mg_arena *arena, int64_t type, int64_t unit, int64_t value);
#define MG_ARROW_DECIMAL_BYTES_MAX 32
#define MG_ARROW_DECIMAL_SCALE_MAX 1000
/* Text of a decimal number as Python prints it: a two's complement of 1 to 32 bytes. */
mg_value mg_arrow_decimal(mg_arena *arena, const unsigned char *bytes, size_t size, bool big_endian,
                          int64_t scale);
double mg_arrow_half(const unsigned char *bytes); /* a float of two bytes */
/* Base64 text of bytes that are not text. */
mg_value mg_arrow_binary(mg_arena *arena, mg_str bytes);

MG_END_C
