/* fuzz/fuzz_json.c - any bytes as JSON; what is read must survive writing and reading again. */
#include "base/error.h"
#include "text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_arena arena = { 0 };
    mg_value value;
    mg_value again;
    mg_error err;
    if (mg_json_parse(mg_str_make((const char *)data, size), "fuzz", &arena, &value, &err) ==
        MG_OK) {
        for (int ascii = 0; ascii < 2; ascii++) {
            mg_json_style style = { 0 };
            style.ascii = ascii != 0;
            style.indent = ascii;
            mg_buf first = { 0 };
            mg_buf second = { 0 };
            mg_json_write(&first, &value, &style);
            MG_ASSERT(mg_json_parse(mg_buf_view(&first), "again", &arena, &again, &err) == MG_OK);
            mg_json_write(&second, &again, &style);
            MG_ASSERT(mg_str_equal(mg_buf_view(&first), mg_buf_view(&second)));
            mg_buf_release(&first);
            mg_buf_release(&second);
        }
    }
    mg_arena_release(&arena);
    return 0;
}
