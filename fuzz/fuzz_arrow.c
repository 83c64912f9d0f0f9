/* fuzz/fuzz_arrow.c - Arrow streams and files, and their gzip. */
#include <stdint.h>

#include "data/dataset_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_error err;
    mg_table table = { 0 };
    mg_source source = { .name = "fuzz" };
    mg_bytes unpacked = { 0 };
    mg_str bytes = mg_str_make((const char *)data, size);
    if (mg_arrow_rows(bytes, &source, &table, &err) != MG_OK) {
        mg_error_clear(&err);
    }
    if (mg_gunzip(bytes, "fuzz", (size_t)1 << 20, &unpacked, &err) == MG_OK) {
        mg_bytes_release(&unpacked);
    }
    mg_table_release(&table);
    return 0;
}
