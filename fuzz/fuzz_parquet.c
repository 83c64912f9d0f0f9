/* fuzz/fuzz_parquet.c - Parquet files. */
#include <stdint.h>

#include "data/dataset_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_error err;
    mg_table table = { 0 };
    mg_source source = { .name = "fuzz" };
    if (mg_parquet_rows(mg_str_make((const char *)data, size), &source, &table, &err) != MG_OK) {
        mg_error_clear(&err);
    }
    mg_table_release(&table);
    return 0;
}
