/* fuzz/fuzz_template.c - compiles and renders any bytes as a template, in both profiles. */
#include "text/json.h"
#include "text/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char variables_text[] =
    "{\"s\": \"a b\", \"n\": 3, \"f\": 1.5, \"xs\": [1, 2, 3], \"d\": {\"k\": [null, true]},"
    " \"messages\": [{\"role\": \"user\", \"content\": \"hi\"},"
    " {\"role\": \"assistant\", \"content\": \"\\u3042\"}], \"bos_token\": \"<s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > (size_t)1 << 16) {
        return 0;
    }
    mg_arena arena = { 0 };
    mg_value variables;
    mg_error err;
    if (mg_json_parse(mg_str_of(variables_text), "variables", &arena, &variables, &err) != MG_OK) {
        return 0;
    }
    mg_str text = mg_str_make((const char *)data, size);
    mg_value value;
    (void)mg_python_literal(text, &arena, &value);
    for (int profile = 0; profile < 2; profile++) {
        mg_template *template_ = NULL;
        mg_buf out = { 0 };
        bool native;
        if (mg_template_compile(text, "fuzz", (mg_template_profile)profile, &template_, &err) ==
            MG_OK) {
            mg_status status = mg_template_render(template_, &variables, 0, &out, &err);
            if (status == MG_OK) {
                status = mg_template_evaluate(template_, &variables, &arena, &native, &value, &err);
            }
        }
        mg_buf_release(&out);
        mg_template_destroy(template_);
    }
    mg_arena_release(&arena);
    return 0;
}
