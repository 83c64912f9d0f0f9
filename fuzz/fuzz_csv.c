/* fuzz/fuzz_csv.c - CSV, JSON lines and plain text. */
#include <stdint.h>

#include "data/dataset_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mg_status (*const readers[])(mg_str, const mg_source *, mg_table *,
                                        mg_error *) = { mg_csv_rows, mg_json_rows, mg_text_rows };
    for (int i = 0; i < 3; i++) {
        mg_error err;
        mg_table table = { 0 };
        mg_source source = { .name = "fuzz", .tabs = size > 0 && data[0] == '\t' };
        mg_str text = mg_str_make((const char *)data, size);
        if (readers[i](text, &source, &table, &err) != MG_OK) {
            mg_error_clear(&err);
        }
        mg_table_release(&table);
    }
    return 0;
}
