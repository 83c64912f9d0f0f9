/* fuzz/fuzz_vocabulary.c - any bytes as one of the two tokenizer.json whose vocabularies are merged.
 *
 * The first byte says how: bit 0 a union, else the tokenizer of the other model; bit 1 which of the
 * two models has the bytes; bit 2 pads the vocabulary; bit 3 gives the models fewer rows than
 * tokens. */
#include "folder.h"

#include "merge/vocabulary.h"
#include "text/json.h"
#include "text/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}],"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3},"
    " \"merges\": [\"a b\"]}}";

static bool read_table(const void *data, size_t size, mg_token_table *table)
{
    mg_error err;
    fuzz_folder_write("tokenizer.json", data, size);
    return mg_token_table_read(fuzz_folder, table, &err) == MG_OK;
}

static void build(int how, const mg_token_table *tables)
{
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_value document;
    mg_recipe recipe;
    mg_vocabulary vocabulary;
    mg_vocabulary_model models[2];
    mg_diagnostics diagnostics;
    mg_buf text = { NULL, 0, 0 };
    memset(&recipe, 0, sizeof(recipe));
    memset(models, 0, sizeof(models));
    memset(&diagnostics, 0, sizeof(diagnostics));
    mg_buf_printf(&text, "{source: %s%s}", (how & 1) != 0 ? "union" : "other",
                  (how & 4) != 0 ? ", pad_to_multiple_of: 8" : "");
    if (mg_yaml_parse(mg_buf_view(&text), "f", &arena, &document, &err) != MG_OK) {
        abort();
    }
    recipe.tokenizer = &document;
    for (int m = 0; m < 2; m++) {
        models[m].ref.path = mg_str_of(m == 0 ? "base" : "other");
        models[m].tokens = &tables[m];
        models[m].size = (how & 8) != 0 ? tables[m].id_end / 2 : tables[m].id_end;
        models[m].folder = fuzz_folder;
    }
    if (mg_vocabulary_build(&recipe, models, 2, NULL, &arena, &arena, &diagnostics, &vocabulary,
                            &err) == MG_OK) {
        mg_buf json = { NULL, 0, 0 };
        mg_json_write(&json, &vocabulary.tokenizer, NULL);
        mg_buf_release(&json);
    }
    mg_diagnostics_release(&diagnostics);
    mg_buf_release(&text);
    mg_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    (void)fuzz_folder_begin();
    mg_token_table tables[2];
    memset(tables, 0, sizeof(tables));
    int place = (data[0] & 2) != 0 ? 1 : 0;
    if (read_table(data + 1, size - 1, &tables[place]) &&
        read_table(fixed, sizeof(fixed) - 1, &tables[1 - place])) {
        build(data[0], tables);
    }
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    return 0;
}
