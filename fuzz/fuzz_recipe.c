/* fuzz/fuzz_recipe.c - any bytes as a merge configuration; what is read must survive writing and
 * reading again. */
#include "base/error.h"
#include "recipe/recipe.h"
#include "text/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_recipe(mg_str text, mg_arena *arena, mg_recipe *recipe)
{
    mg_value *document = mg_arena_new(arena, mg_value);
    mg_error err;
    if (mg_yaml_parse(text, "fuzz", arena, document, &err) != MG_OK) {
        return false;
    }
    mg_diagnostics diagnostics = { 0 };
    diagnostics.file = mg_str_of("fuzz");
    bool good = mg_recipe_from_value(document, arena, &diagnostics, recipe) == MG_OK;
    mg_diagnostics_release(&diagnostics);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_arena arena = { 0 };
    mg_recipe recipe;
    mg_recipe again;
    if (read_recipe(mg_str_make((const char *)data, size), &arena, &recipe)) {
        mg_buf first = { 0 };
        mg_buf second = { 0 };
        mg_recipe_write(&recipe, &first);
        MG_ASSERT(read_recipe(mg_buf_view(&first), &arena, &again));
        mg_recipe_write(&again, &second);
        MG_ASSERT(mg_str_equal(mg_buf_view(&first), mg_buf_view(&second)));
        mg_buf_release(&first);
        mg_buf_release(&second);
    }
    mg_arena_release(&arena);
    return 0;
}
