/* tests/unit/merge/test_vocabulary.c - output tokenizers, rows of embeddings, chat templates, and
 * documents that need each other. */
#include "support.h"

#include <unistd.h>

#include "base/fs.h"
#include "merge/chat_template.h"
#include "merge/execute.h"
#include "merge/vocabulary.h"
#include "text/json.h"
#include "text/template.h"
#include "text/yaml.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/merganser-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    mg_error err;
    return mg_folder_remove(folder, &err) != MG_OK;
}

static void write_file(const char *name, const char *text)
{
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, folder, name).data, mg_str_of(text), &err),
              &err);
    mg_arena_release(&arena);
}

static mg_token_table read_table(const char *text)
{
    mg_error err;
    mg_token_table table;
    write_file("tokenizer.json", text);
    assert_ok(mg_token_table_read(folder, &table, &err), &err);
    return table;
}

static const char base_json[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}],"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3, "
    "\"aab\": 4},"
    " \"merges\": [\"a b\", \"a ab\"]}}";
static const char other_json[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true},"
    " {\"id\": 4, \"content\": \"<x>\", \"special\": false, \"lstrip\": true}],"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": 0, \"b\": 1, \"a\": 2, \"c\": 3},"
    " \"merges\": []}}";

/* Models whose rows are their number times ten plus the row, in two columns. */
static float rows_of[2][2 * 5];

static mg_vocabulary build(const char *yaml, mg_token_table tables[2], int64_t base_size,
                           mg_arena *arena, mg_status expected, mg_error *err)
{
    static mg_recipe recipe;
    memset(&recipe, 0, sizeof(recipe));
    mg_value *document = mg_arena_new(arena, mg_value);
    assert_ok(mg_yaml_parse(mg_str_of(yaml), "v.yml", arena, document, err), err);
    if (document->kind == MG_MAP) {
        recipe.tokenizer = document;
    } else {
        recipe.tokenizer_source = document->string;
    }
    mg_vocabulary_model *models = mg_arena_array(arena, mg_vocabulary_model, 2);
    for (int64_t m = 0; m < 2; m++) {
        models[m].ref.path = mg_str_of(m == 0 ? "base" : "other");
        models[m].tokens = &tables[m];
        models[m].size = m == 0 ? base_size : 5;
        models[m].folder = folder;
        for (int i = 0; i < 10; i++) {
            rows_of[m][i] = (float)(10 * (int)m + i / 2);
        }
    }
    mg_diagnostics diagnostics;
    memset(&diagnostics, 0, sizeof(diagnostics));
    diagnostics.file = mg_str_of("v.yml");
    mg_vocabulary vocabulary;
    mg_status status =
        mg_vocabulary_build(&recipe, models, 2, NULL, arena, arena, &diagnostics, &vocabulary, err);
    if (status == MG_OK) {
        status = mg_diagnostics_finish(&diagnostics, err);
    }
    mg_diagnostics_release(&diagnostics);
    if (status != expected) {
        fail_msg("%s: %s", yaml, err->message);
    }
    return vocabulary;
}

static void apply(const mg_vocabulary *vocabulary, float *base_out, float *other_out)
{
    mg_error err;
    const mg_vocabulary_input inputs[2] = { { 0, rows_of[0], MG_F32, 5, base_out },
                                            { 1, rows_of[1], MG_F32, 5, other_out } };
    assert_ok(mg_vocabulary_apply(vocabulary, inputs, 2, 0, 2, MG_F32, NULL, &err), &err);
}

static void a_union_appends_what_the_base_lacks(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    mg_vocabulary v = build("union", tables, 5, &arena, MG_OK, &err);
    assert_int_equal(v.token_count, 7);
    assert_true(mg_str_is(v.texts[5], "c"));
    assert_true(mg_str_is(v.texts[6], "<x>"));
    const mg_value *added = mg_value_get(&v.tokenizer, "added_tokens");
    assert_int_equal(added->count, 3);
    assert_true(mg_value_get(&added->items[2], "lstrip")->boolean);
    float base[14], other[14];
    apply(&v, base, other);
    /* a: own rows 1 and 12; ab: only the base has it; c: only the other has it */
    assert_true(base[2 * 1] == 1.0f && other[2 * 1] == 12.0f);
    assert_true(base[2 * 3] == 3.0f && other[2 * 3] == 3.0f);
    assert_true(base[2 * 5] == 13.0f && other[2 * 5] == 13.0f);
    assert_true(base[2 * 6] == 14.0f && other[2 * 6] == 14.0f);
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    mg_arena_release(&arena);
}

static void tokens_beyond_the_rows_are_cut_with_their_merges(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    mg_vocabulary v = build("base", tables, 4, &arena, MG_OK, &err);
    assert_int_equal(v.token_count, 4);
    assert_false(v.identity);
    assert_int_equal(mg_value_path(&v.tokenizer, "model.vocab")->count, 4);
    assert_int_equal(mg_value_path(&v.tokenizer, "model.merges")->count, 1); /* not "a ab" */
    v = build("base", tables, 3, &arena, MG_OK, &err);
    assert_int_equal(mg_value_path(&v.tokenizer, "model.merges")->count, 0);
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    mg_arena_release(&arena);
}

static void rules_for_tokens_are_followed_and_rows_are_padded(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    mg_vocabulary v =
        build("{source: base, pad_to_multiple_of: 4, tokens: {a: {source: other, force: true},"
              " ab: {source: {kind: zero}}, new: {source: {kind: model_token, model: other, token: "
              "c}}, new2: {source: {kind: model_token, model: base, token_id: 4}}}}",
              tables, 5, &arena, MG_OK, &err);
    assert_int_equal(v.token_count, 7);
    assert_int_equal(v.row_count, 8);
    float base[16], other[16];
    apply(&v, base, other);
    assert_true(base[2 * 1] == 12.0f && other[2 * 1] == 12.0f);
    assert_true(base[2 * 3] == 3.0f && other[2 * 3] == 0.0f);
    assert_true(base[2 * 5] == 13.0f && other[2 * 5] == 13.0f);
    assert_true(base[2 * 6] == 4.0f && other[2 * 6] == 4.0f);
    float sum = 0.0f;
    for (int id = 0; id < 7; id++) {
        sum += base[2 * id];
    }
    assert_true(base[2 * 7] == sum / 7.0f);
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    mg_arena_release(&arena);
}

static void a_source_that_no_model_needs_may_lack_the_token(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    mg_vocabulary v = build(
        "{source: base, tokens: {a: {source: {kind: model_token, model: base, token_id: 99}}}}",
        tables, 5, &arena, MG_OK, &err);
    float base[10], other[10];
    apply(&v, base, other);
    assert_true(base[2 * 1] == 1.0f && other[2 * 1] == 12.0f);
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    mg_arena_release(&arena);
}

static void a_source_that_is_needed_must_have_the_token(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *expected; /* NULL = fine, as no input needs it */
    } cases[] = {
        { "{tokens: {ab: {source: base}}}", NULL },
        { "{tokens: {ab: {source: other}}}", "'ab' is not in the model" },
        { "{tokens: {new: {source: other}}}", "'new' is not in the model" },
        { "{tokens: {new: {source: {kind: model_token, model: base, token_id: 99}}}}",
          "'new' is not in the model" },
        { "{tokens: {new: {source: {kind: model_token, model: base, token: none}}}}",
          "'new' is not in the model" },
    };
    const mg_vocabulary_input inputs[2] = { { 0, NULL, MG_F32, 5, NULL },
                                            { 1, NULL, MG_F32, 5, NULL } };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_error_clear(&err);
        mg_arena arena = { NULL, 0, 0 };
        mg_vocabulary v = build(cases[i].yaml, tables, 5, &arena, MG_OK, &err);
        mg_status status = mg_vocabulary_check(&v, inputs, 2, &err);
        if ((status == MG_OK) != (cases[i].expected == NULL) ||
            (status != MG_OK && strstr(err.message, cases[i].expected) == NULL)) {
            fail_msg("%s: '%s'", cases[i].yaml, err.message);
        }
        mg_arena_release(&arena);
    }
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
}

/* mergekit adds them to the tokenizer that it also asks for the base's own tokens. */
static void tokens_added_to_the_bases_take_its_spare_rows(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    mg_vocabulary v = build("{source: base, tokens: {new: {source: {kind: zero}}}}", tables, 6,
                            &arena, MG_OK, &err);
    assert_int_equal(v.token_count, 6);
    assert_int_equal(v.own[0][5], 5);
    assert_int_equal(v.own[1][5], -1);
    v = build("{source: union, tokens: {new: {source: {kind: zero}}}}", tables, 6, &arena, MG_OK,
              &err);
    assert_int_equal(v.own[0][v.token_count - 1], -1);
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
    mg_arena_release(&arena);
}

static void mistakes_in_the_block_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *expected;
    } cases[] = {
        { "{tokens: [a]}", "'tokens' is a list, must be a map" },
        { "{tokens: {a: b}}", "a token must be a text with a map" },
        { "{tokens: {a: {source: nobody}}}", "'nobody' is no part of the merge" },
        { "{tokens: {a: {source: {kind: one}}}}", "must be zero or model_token" },
        { "{tokens: {a: {source: {kind: model_token, model: base}}}}", "either 'token' or" },
        { "{pad_to_multiple_of: 0}", "in [1, 1048576]" },
    };
    mg_token_table tables[2] = { read_table(base_json), read_table(other_json) };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_error_clear(&err);
        mg_arena arena = { NULL, 0, 0 };
        (void)build(cases[i].yaml, tables, 5, &arena, MG_ERR_CONFIG, &err);
        if (strstr(err.message, cases[i].expected) == NULL) {
            fail_msg("'%s', expected '%s'", err.message, cases[i].expected);
        }
        mg_arena_release(&arena);
    }
    mg_token_table_release(&tables[0]);
    mg_token_table_release(&tables[1]);
}

static void damaged_tokenizers_are_format_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"model\": {\"vocab\": 7}}",
        "{\"model\": {\"vocab\": {\"a\": -1}}}",
        "{\"model\": {\"vocab\": {\"a\": 99999999999}}}",
        "{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
        "{\"model\": {\"vocab\": [7]}}",
        "{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [{\"content\": \"x\"}]}",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(texts); i++) {
        mg_error err;
        mg_token_table table;
        write_file("tokenizer.json", texts[i]);
        assert_status(mg_token_table_read(folder, &table, &err), MG_ERR_FORMAT);
    }
}

static void chat_templates_are_chosen_and_written(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    assert_true(mg_chat_template_valid(mg_str_of("chatml")));
    assert_true(mg_chat_template_valid(mg_str_of("{{ messages[0]['content'] }}")));
    assert_false(mg_chat_template_valid(mg_str_of("chatm")));
    write_file("tokenizer_config.json", "{\"chat_template\": \" old \", \"x\": 1}");
    const char *const folders[2] = { "/nonexistent", folder };
    assert_true(mg_str_is(mg_chat_template_choose(mg_str_of("auto"), folders, 2, &arena), "old"));
    assert_ok(mg_chat_template_write(folder, mg_str_of("new"), &err), &err);
    mg_value config;
    mg_str path = mg_path_join(&arena, folder, "tokenizer_config.json");
    assert_ok(mg_json_read(path.data, 1000, &arena, &config, &err), &err);
    assert_true(mg_str_is(mg_value_get(&config, "chat_template")->string, "new"));
    assert_int_equal(config.count, 2);
    assert_true(mg_str_is(mg_chat_template_choose(mg_str_of("auto"), folders, 2, &arena), "new"));
    mg_arena_release(&arena);
}

/* tests/golden/chat_template/make.py */
static void built_in_chat_templates_render_as_mergekits(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_value cases;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/chat_template/cases.json", (size_t)1 << 20,
                           &arena, &cases, &err),
              &err);
    assert_int_equal(cases.count, 90);
    for (int64_t i = 0; i < cases.count; i++) {
        mg_str name = mg_value_get(&cases.items[i], "name")->string;
        const mg_value *expected = mg_value_get(&cases.items[i], "text");
        mg_template *template_;
        mg_buf text = { NULL, 0, 0 };
        assert_ok(mg_template_compile(mg_chat_template_choose(name, NULL, 0, &arena), name.data,
                                      MG_TEMPLATE_CHAT, &template_, &err),
                  &err);
        mg_status status = mg_template_render(template_, mg_value_get(&cases.items[i], "variables"),
                                              0, &text, &err);
        bool same = expected->kind == MG_NULL
                        ? status == MG_ERR_USER_CODE
                        : status == MG_OK && mg_str_equal(mg_buf_view(&text), expected->string);
        if (!same) {
            fail_msg("case %lld: '%s'", (long long)i, status == MG_OK ? text.data : err.message);
        }
        mg_buf_release(&text);
        mg_template_destroy(template_);
    }
    mg_arena_release(&arena);
}

static mg_status run_documents(const char *text, mg_error *err)
{
    mg_hub hub = { { NULL, 0 } };
    mg_arena arena = { NULL, 0, 0 };
    mg_recipe *recipes;
    int64_t count;
    write_file("r.yml", text);
    mg_model_set *set = mg_model_set_create(&hub);
    mg_merge_options options;
    memset(&options, 0, sizeof(options));
    options.copy_tokenizer = options.overwrite = true;
    mg_status status = mg_recipe_read_all(mg_path_join(&arena, folder, "r.yml").data, &arena,
                                          &recipes, &count, err);
    if (status == MG_OK) {
        status = mg_merge_documents(recipes, count, set, mg_device_cpu(mg_isa_best()), NULL,
                                    &options, mg_path_join(&arena, folder, "parts").data, true,
                                    mg_path_join(&arena, folder, "out").data, &arena, err);
    }
    mg_model_set_destroy(set);
    mg_arena_release(&arena);
    return status;
}

static void documents_run_in_the_order_of_what_they_need(void **state)
{
    (void)state;
    mg_error err;
    assert_int_equal(chdir(MG_SOURCE_DIR "/examples/mini/models"), 0);
    assert_ok(run_documents("merge_method: passthrough\nmodels: [{model: b}]\n---\n"
                            "name: b\nmerge_method: passthrough\nmodels: [{model: a}]\n---\n"
                            "name: a\nmerge_method: passthrough\nmodels: [{model: mini-ja}]\n",
                            &err),
              &err);
    mg_arena arena = { NULL, 0, 0 };
    assert_true(mg_path_is_file(mg_path_join(&arena, folder, "out/config.json").data));
    assert_true(mg_path_is_file(mg_path_join(&arena, folder, "parts/a/config.json").data));
    /* Rows of tokens may come from them too. */
    assert_ok(run_documents("merge_method: passthrough\nmodels: [{model: mini-ja}]\n"
                            "tokenizer: {source: e, tokens: {a: {source: mini-ja, force: true}}}\n"
                            "---\nname: e\nmerge_method: passthrough\nmodels: [{model: mini-ja}]\n",
                            &err),
              &err);
    mg_arena_release(&arena);
    assert_status(run_documents("name: c\nmerge_method: passthrough\nmodels: [{model: d}]\n---\n"
                                "name: d\nmerge_method: passthrough\nmodels: [{model: c}]\n",
                                &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "needs itself"));
    assert_status(run_documents("name: c\nmerge_method: linear\nmodels: [{model: d}]\n---\n"
                                "name: c\nmerge_method: linear\nmodels: [{model: e}]\n",
                                &err),
                  MG_ERR_CONFIG);
    assert_non_null(strstr(err.message, "two documents have the name 'c'"));
    assert_status(run_documents("name: ../c\nmerge_method: linear\nmodels: [{model: d}]\n---\n"
                                "merge_method: linear\nmodels: [{model: e}]\n",
                                &err),
                  MG_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_union_appends_what_the_base_lacks),
        cmocka_unit_test(tokens_beyond_the_rows_are_cut_with_their_merges),
        cmocka_unit_test(rules_for_tokens_are_followed_and_rows_are_padded),
        cmocka_unit_test(a_source_that_no_model_needs_may_lack_the_token),
        cmocka_unit_test(a_source_that_is_needed_must_have_the_token),
        cmocka_unit_test(tokens_added_to_the_bases_take_its_spare_rows),
        cmocka_unit_test(mistakes_in_the_block_are_told),
        cmocka_unit_test(damaged_tokenizers_are_format_errors),
        cmocka_unit_test(chat_templates_are_chosen_and_written),
        cmocka_unit_test(built_in_chat_templates_render_as_mergekits),
        cmocka_unit_test(documents_run_in_the_order_of_what_they_need),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
