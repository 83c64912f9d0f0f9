/* tests/unit/merge/test_plan.c - what a recipe becomes before any weight is read, and what is wrong
 * with it. */
#include "support.h"

#include <unistd.h>

#include "base/fs.h"
#include "merge/plan.h"
#include "merge/plan_internal.h"
#include "recipe/recipe.h"
#include "text/json.h"
#include "text/yaml.h"

#define MODELS MG_SOURCE_DIR "/examples/mini/models"
#define GOLDEN MG_SOURCE_DIR "/tests/golden/merge"

static mg_hub hub;
static mg_model_set *set;

static int set_up(void **state)
{
    (void)state;
    set = mg_model_set_create(&hub);
    return chdir(MODELS);
}

static int tear_down(void **state)
{
    (void)state;
    mg_model_set_destroy(set);
    return 0;
}

static mg_status plan_text(const char *text, mg_arena *arena, mg_plan **plan_out, mg_error *err)
{
    *plan_out = NULL;
    mg_value *document = mg_arena_new(arena, mg_value);
    mg_recipe *recipe = mg_arena_new(arena, mg_recipe);
    MG_TRY(mg_yaml_parse(mg_str_of(text), "r.yml", arena, document, err));
    mg_diagnostics diagnostics;
    memset(&diagnostics, 0, sizeof(diagnostics));
    diagnostics.file = mg_str_of("r.yml");
    mg_status status = mg_recipe_from_value(document, arena, &diagnostics, recipe);
    if (status == MG_OK) {
        status = mg_plan_create(recipe, set, false, plan_out, err);
    } else {
        status = mg_diagnostics_finish(&diagnostics, err);
    }
    mg_diagnostics_release(&diagnostics);
    return status;
}

/* The plan of a golden recipe; its first slice is appended once more when again. */
static void plan_golden(const char *name, bool again, mg_arena *arena, mg_plan **plan_out)
{
    mg_error err;
    mg_recipe recipe;
    mg_str path = mg_arena_printf(arena, GOLDEN "/recipes/%s.yml", name);
    assert_ok(mg_recipe_read(path.data, arena, &recipe, &err), &err);
    mg_recipe_module module = recipe.modules[0];
    mg_recipe_slice slices[8];
    assert_true(module.slice_count < 8);
    memcpy(slices, module.slices, (size_t)module.slice_count * sizeof(slices[0]));
    slices[module.slice_count] = slices[0];
    module.slices = slices;
    module.slice_count += again;
    recipe.modules = &module;
    assert_ok(mg_plan_create(&recipe, set, false, plan_out, &err), &err);
}

static void repeated_layers_come_in_the_order_of_mergekit(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_bytes text;
    assert_ok(mg_file_read(GOLDEN "/franken_order.txt", 1 << 20, &text, &err), &err);
    mg_str rest = mg_str_make((const char *)text.data, text.size);
    static const char *const names[] = { "passthrough", "slices+", "passthrough+" };
    mg_plan *plans[3];
    int64_t at[3] = { 0, 0, 0 };
    plan_golden("passthrough", false, &arena, &plans[0]);
    plan_golden("slices", true, &arena, &plans[1]);
    plan_golden("passthrough", true, &arena, &plans[2]);
    mg_str line;
    while (mg_str_split(&rest, '\n', &line) && line.size > 0) {
        int64_t space = mg_str_find(line, mg_str_of(" "), 0);
        int which = 0;
        while (!mg_str_equal(mg_str_make(line.data, (size_t)space), mg_str_of(names[which]))) {
            which++;
            assert_true(which < MG_ARRAY_COUNT(names));
        }
        mg_str name = mg_str_make(line.data + space + 1, line.size - (size_t)space - 1);
        mg_str ours = mg_plan_tensor(plans[which], at[which]++).name;
        if (!mg_str_equal(name, ours)) {
            fail_msg("%.*s, ours is %.*s", MG_STR_ARG(line), MG_STR_ARG(ours));
        }
    }
    for (int i = 0; i < MG_ARRAY_COUNT(names); i++) {
        assert_int_equal(at[i], mg_plan_tensor_count(plans[i]));
        mg_plan_destroy(plans[i]);
    }
    mg_bytes_release(&text);
    mg_arena_release(&arena);
}

static void tensors_come_in_the_order_of_their_names_on_disk(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_plan *plan;
    assert_ok(
        plan_text("merge_method: linear\nmodels: [{model: mini-ja, parameters: {weight: 1}}]\n",
                  &arena, &plan, &err),
        &err);
    assert_int_equal(mg_plan_tensor_count(plan), 75);
    assert_true(mg_str_is(mg_plan_tensor(plan, 0).name, "lm_head.weight"));
    for (int64_t i = 1; i < 75; i++) {
        assert_true(mg_str_compare(mg_plan_tensor(plan, i - 1).name, mg_plan_tensor(plan, i).name) <
                    0);
    }
    assert_int_equal(mg_plan_output_bytes(plan), mg_plan_input_bytes(plan));
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
}

static void mistakes_are_found_without_reading_weights(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        { "merge_method: dare_tie\nmodels: [{model: mini-ja}]\n",
          "r.yml:1:15: unknown merge method 'dare_tie', did you mean 'dare_ties'?" },
        { "merge_method: linear\nmodels: [{model: mini-nowhere, parameters: {weight: 1}}]\n",
          "mini-nowhere" },
        { "merge_method: ties\nmodels: [{model: mini-ja, parameters: {weight: 1}}]\n",
          "it needs a base model ('base_model')" },
        { "merge_method: ties\nbase_model: mini-base\nmodels: [{model: mini-ja}]\n",
          "r.yml:3:10: parameter 'weight' of model 'mini-ja' is missing" },
        { "merge_method: slerp\nbase_model: mini-base\nmodels: [{model: mini-base}, {model: "
          "mini-ja}]\n",
          "parameter 't' is missing" },
        { "merge_method: slerp\nbase_model: mini-base\nparameters: {t: 1}\nmodels: [{model: "
          "mini-base}]\n",
          "it has too few inputs" },
        { "merge_method: passthrough\nmodels: [{model: mini-base}, {model: mini-ja}]\n",
          "it has too many inputs" },
        { "merge_method: linear\nparameters: {weight: 1, normalize: 0.5}\nmodels: [{model: "
          "mini-ja}]\n",
          "parameter 'normalize' is 0.5, must be true or false" },
        { "merge_method: passthrough\nslices: [{sources: [{model: mini-ja, layer_range: [4, "
          "9]}]}]\n",
          "'layer_range' ends at 9, model 'mini-ja' has 8 layers" },
        { "merge_method: linear\nparameters: {weight: 1}\nmodules: {vision: {models: [{model: "
          "mini-ja}]}}\n",
          "no module 'vision'" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_error err;
        mg_error_clear(&err);
        mg_arena arena = { NULL, 0, 0 };
        mg_plan *plan;
        mg_status status = plan_text(cases[i].text, &arena, &plan, &err);
        if (status == MG_OK || strstr(err.message, cases[i].expected) == NULL) {
            fail_msg("case %lld gave '%s', expected '%s'", (long long)i, err.message,
                     cases[i].expected);
        }
        assert_null(plan);
        mg_arena_release(&arena);
    }
}

static void explaining_shows_inputs_and_resolved_parameters(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_plan *plan;
    mg_buf text = { NULL, 0, 0 };
    assert_ok(plan_text("merge_method: task_arithmetic\n"
                        "base_model: mini-base\n"
                        "models:\n"
                        "- model: mini-ja\n"
                        "  parameters: {weight: [{filter: mlp, value: [0, 0.7]}, {value: 0.25}]}\n",
                        &arena, &plan, &err),
              &err);
    assert_ok(mg_plan_explain(plan, mg_str_of("model.layers.7.mlp.up_proj.weight"), &text, &err),
              &err);
    assert_non_null(strstr(text.data, "weight=0.7"));
    assert_non_null(strstr(text.data, "mini-base: model.layers.7.mlp.up_proj.weight (BF16) base"));
    mg_buf_clear(&text);
    assert_ok(mg_plan_explain(plan, mg_str_of("model.norm.weight"), &text, &err), &err);
    assert_non_null(strstr(text.data, "weight=0.25"));
    assert_status(mg_plan_explain(plan, mg_str_of("model.norms.weight"), &text, &err),
                  MG_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean 'model.norm.weight'?"));
    mg_buf_release(&text);
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
}

static void weights_that_cancel_are_pointed_out(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_plan *plan;
    mg_buf text = { NULL, 0, 0 };
    assert_ok(plan_text("merge_method: linear\n"
                        "models: [{model: mini-ja, parameters: {weight: 1}}, {model: mini-base, "
                        "parameters: {weight: -1}}]\n"
                        "dtype: float32\n",
                        &arena, &plan, &err),
              &err);
    mg_plan_warnings(plan, &text);
    assert_non_null(strstr(text.data, "the weights sum to zero"));
    assert_non_null(strstr(text.data, "written in a wider type"));
    mg_buf_release(&text);
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
}

/* tests/golden/recorded/make.py */
static void a_recipe_without_text_is_recorded_as_mergekit_does(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_value cases;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/recorded/cases.json", (size_t)1 << 20,
                           &arena, &cases, &err),
              &err);
    assert_int_equal(cases.count, 5);
    for (int64_t i = 0; i < cases.count; i++) {
        mg_value *document = mg_arena_new(&arena, mg_value);
        mg_recipe recipe;
        mg_plan *plan;
        mg_buf text = { NULL, 0, 0 };
        mg_diagnostics diagnostics;
        memset(&diagnostics, 0, sizeof(diagnostics));
        assert_ok(mg_yaml_parse(mg_value_get(&cases.items[i], "text")->string, "r.yml", &arena,
                                document, &err),
                  &err);
        assert_int_equal(mg_recipe_from_value(document, &arena, &diagnostics, &recipe), MG_OK);
        assert_ok(mg_plan_create(&recipe, set, false, &plan, &err), &err);
        mg_recipe recorded = mg_plan_recorded_recipe(plan, &recipe, &arena);
        mg_recipe_write(&recorded, &text);
        mg_str expected = mg_value_get(&cases.items[i], "recorded")->string;
        assert_string_equal(text.data, mg_arena_printf(&arena, "%s\n", expected.data).data);
        mg_buf_release(&text);
        mg_plan_destroy(plan);
        mg_diagnostics_release(&diagnostics);
    }
    mg_arena_release(&arena);
}

static void the_config_says_the_new_type_and_layer_count(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_plan *plan;
    assert_ok(plan_text("merge_method: passthrough\n"
                        "slices:\n"
                        "- sources: [{model: mini-base, layer_range: [0, 3]}]\n"
                        "- sources: [{model: mini-ja, layer_range: [1, 3]}]\n"
                        "dtype: torch.float16\n",
                        &arena, &plan, &err),
              &err);
    mg_value config = mg_plan_config(plan, &arena);
    int64_t layers = 0;
    assert_true(mg_value_to_int(mg_value_get(&config, "num_hidden_layers"), &layers));
    assert_int_equal(layers, 5);
    assert_true(mg_str_is(mg_value_get(&config, "torch_dtype")->string, "float16"));
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_in_the_order_of_their_names_on_disk),
        cmocka_unit_test(repeated_layers_come_in_the_order_of_mergekit),
        cmocka_unit_test(mistakes_are_found_without_reading_weights),
        cmocka_unit_test(explaining_shows_inputs_and_resolved_parameters),
        cmocka_unit_test(weights_that_cancel_are_pointed_out),
        cmocka_unit_test(a_recipe_without_text_is_recorded_as_mergekit_does),
        cmocka_unit_test(the_config_says_the_new_type_and_layer_count),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
