/* fuzz/fuzz_yaml.c - any bytes as YAML; what is read must survive writing and reading again. */
#include "base/error.h"
#include "text/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > (size_t)1 << 16) {
        return 0;
    }
    mg_arena arena = { 0 };
    mg_value value;
    mg_value again;
    mg_error err;
    if (mg_yaml_parse(mg_str_make((const char *)data, size), "fuzz", &arena, &value, &err) ==
        MG_OK) {
        mg_buf first = { 0 };
        mg_buf second = { 0 };
        mg_yaml_write(&first, &value);
        if (first.size < (size_t)1 << 20) {
            MG_ASSERT(mg_yaml_parse(mg_buf_view(&first), "again", &arena, &again, &err) == MG_OK);
            mg_yaml_write(&second, &again);
            MG_ASSERT(mg_str_equal(mg_buf_view(&first), mg_buf_view(&second)));
        }
        mg_buf_release(&first);
        mg_buf_release(&second);
    }
    mg_arena_release(&arena);
    return 0;
}
